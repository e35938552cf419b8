/* SPDX-License-Identifier: Apache-2.0 */
/* A guest with sockets, one story per first argument: client PORT, server PORT, datagrams PORT, denied, refused. */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wasi/api.h>

#include "check.h"

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))
struct address {
    const uint8_t *bytes;
    uint32_t size;
};
IMPORT("sock_open") int sock_open(int family, int type, int *opened);
IMPORT("sock_bind") int sock_bind(int fd, const struct address *address, uint32_t port);
IMPORT("sock_listen") int sock_listen(int fd, uint32_t backlog);
IMPORT("sock_connect") int sock_connect(int fd, const struct address *address, uint32_t port);
IMPORT("sock_recv_from") int sock_recv_from(int fd, const __wasi_iovec_t *to, uint32_t count, struct address *address,
                                            uint32_t flags, uint32_t *port, uint32_t *size, uint32_t *out_flags);
IMPORT("sock_send_to") int sock_send_to(int fd, const __wasi_ciovec_t *from, uint32_t count, const struct address *address,
                                        uint32_t port, uint32_t flags, uint32_t *size);
IMPORT("sock_getlocaladdr") int sock_getlocaladdr(int fd, struct address *address, uint32_t *type, uint32_t *port);
IMPORT("sock_getpeeraddr") int sock_getpeeraddr(int fd, struct address *address, uint32_t *type, uint32_t *port);
IMPORT("sock_setsockopt") int sock_setsockopt(int fd, int level, int name, const void *value, uint32_t size);
IMPORT("sock_getsockopt") int sock_getsockopt(int fd, int level, int name, uint32_t *value, uint32_t *size);
IMPORT("sock_getaddrinfo") int sock_getaddrinfo(const char *node, uint32_t node_size, const char *service, uint32_t size,
                                                const void *hints, void *results, uint32_t most, uint32_t *found);

enum { IPV4 = 1, IPV6 = 2, DATAGRAM = 1, STREAM = 2 };

static const uint8_t localhost[4] = {127, 0, 0, 1};
static const uint8_t elsewhere[4] = {127, 0, 0, 2};
static const struct address here = {localhost, 4}, there = {elsewhere, 4};
static char text[70000];

static int open_socket(int type)
{
    int fd = -1;
    int error = sock_open(IPV4, type, &fd);
    CHECK(error == 0);
    return fd;
}

/* Sends much, shuts down, reads all that comes back. */
static void client(uint32_t port)
{
    int fd = open_socket(STREAM);
    CHECK(sock_connect(fd, &here, port) == 0);
    CHECK(sock_connect(fd, &here, port) == __WASI_ERRNO_ISCONN);
    uint8_t bytes[128] = {0};
    struct address peer = {bytes, sizeof bytes};
    uint32_t type = 0, other = 0;
    CHECK(sock_getpeeraddr(fd, &peer, &type, &other) == 0 && other == port && bytes[0] == 1 &&
          memcmp(bytes + 2, localhost, 4) == 0);
    memset(text, 'p', sizeof text);
    for (size_t done = 0; done < sizeof text;) {
        ssize_t size = write(fd, text + done, sizeof text - done);
        CHECK(size > 0);
        done += (size_t)size;
    }
    CHECK(__wasi_sock_shutdown(fd, __WASI_SDFLAGS_WR) == 0);
    CHECK(write(fd, "x", 1) == -1 && errno == EPIPE);
    size_t all = 0;
    for (ssize_t size; (size = read(fd, text, sizeof text)) != 0; all += (size_t)size) {
        CHECK(size > 0);
    }
    CHECK(close(fd) == 0);
    printf("%u bytes came back\n", (unsigned)all);
}

static void server(uint32_t port)
{
    int fd = open_socket(STREAM), yes = 1, peer = -1;
    CHECK(sock_setsockopt(fd, 0, 0, &yes, sizeof yes) == 0);
    CHECK(sock_bind(fd, &here, port) == 0 && sock_listen(fd, 4) == 0);
    uint8_t bytes[4];
    struct address local = {bytes, 4};
    uint32_t type, own;
    CHECK(sock_getlocaladdr(fd, &local, &type, &own) == 0 && own == port);
    printf("listening\n");
    (void)fflush(stdout);
    for (int i = 0; i < 2; i++) {
        struct pollfd one = {.fd = fd, .events = POLLIN};
        CHECK(poll(&one, 1, -1) == 1);
        CHECK(__wasi_sock_accept(fd, 0, &peer) == 0);
        ssize_t size = read(peer, text, sizeof text);
        CHECK(size > 0 && write(peer, text, (size_t)size) == size && close(peer) == 0);
    }
    CHECK(close(fd) == 0);
    printf("served\n");
}

static void datagrams(uint32_t port)
{
    int fd = open_socket(DATAGRAM);
    __wasi_ciovec_t out = {(const uint8_t *)"question", 8};
    __wasi_iovec_t in = {(uint8_t *)text, 5};
    uint32_t size = 0, from = 0, flags = 0, value = 0;
    uint8_t bytes[4];
    struct address sender = {bytes, 4};
    CHECK(sock_getsockopt(fd, 0, 1, &value, &size) == 0 && value == DATAGRAM && size == 4);
    CHECK(sock_send_to(fd, &out, 1, &here, port, 0, &size) == 0 && size == 8);
    CHECK(sock_recv_from(fd, &in, 1, &sender, 0, &from, &size, &flags) == 0);
    CHECK(size == 5 && memcmp(text, "answe", 5) == 0 && from == port && memcmp(bytes, localhost, 4) == 0);
    CHECK(sock_send_to(fd, &out, 1, &there, port, 0, &size) == __WASI_ERRNO_NOTCAPABLE);
    CHECK(read(fd, text, 1) == -1 && errno == ENOTSUP);
    CHECK(close(fd) == 0);
    printf("asked\n");
}

static void refused(uint32_t port)
{
    int fd = open_socket(STREAM), other = -1;
    CHECK(sock_connect(fd, &here, port) == __WASI_ERRNO_CONNREFUSED && close(fd) == 0);
    fd = open_socket(STREAM);
    CHECK(sock_connect(fd, &there, port) == __WASI_ERRNO_NOTCAPABLE);
    CHECK(sock_connect(fd, &here, port + 1) == __WASI_ERRNO_NOTCAPABLE);
    CHECK(sock_bind(fd, &here, port) == __WASI_ERRNO_NOTCAPABLE);
    CHECK(sock_listen(fd, 1) == __WASI_ERRNO_INVAL);
    CHECK(read(fd, text, 1) == -1 && errno == ENOTCONN);
    const uint8_t six[16] = {0};
    const struct address long_one = {six, 16}, wrong = {six, 5};
    CHECK(sock_connect(fd, &long_one, port) == __WASI_ERRNO_AFNOSUPPORT);
    CHECK(sock_connect(fd, &wrong, port) == __WASI_ERRNO_INVAL);
    CHECK(sock_open(IPV6, STREAM, &other) == __WASI_ERRNO_AFNOSUPPORT);
    CHECK(sock_open(IPV4, 7, &other) == __WASI_ERRNO_PROTONOSUPPORT);
    uint32_t found = 0;
    CHECK(sock_getaddrinfo("localhost", 9, "80", 2, NULL, NULL, 0, &found) == __WASI_ERRNO_NOTSUP);
    CHECK(sock_setsockopt(fd, 0, 7, &found, 4) == __WASI_ERRNO_NOPROTOOPT);
    CHECK(sock_listen(1, 1) == __WASI_ERRNO_NOTSOCK && close(fd) == 0);
    printf("refused\n");
}

static void denied(void)
{
    int fd = -1;
    CHECK(sock_open(IPV4, STREAM, &fd) == __WASI_ERRNO_NOTCAPABLE);
    CHECK(sock_open(IPV4, DATAGRAM, &fd) == __WASI_ERRNO_NOTCAPABLE);
    printf("denied\n");
}

int main(int argc, char **argv)
{
    const char *story = argc > 1 ? argv[1] : "";
    uint32_t port = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    if (strcmp(story, "client") == 0) {
        client(port);
    } else if (strcmp(story, "server") == 0) {
        server(port);
    } else if (strcmp(story, "datagrams") == 0) {
        datagrams(port);
    } else if (strcmp(story, "refused") == 0) {
        refused(port);
    } else if (strcmp(story, "denied") == 0) {
        denied();
    }
    return 0;
}
