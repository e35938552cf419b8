/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP client: sends a line to 127.0.0.1:PORT (argument 1) and prints the answer. WASI preview 1 has no calls to connect;
 * these are WasmEdge's, by their names.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(name)))

struct address {
    const uint8_t *bytes; /* of an IPv4 address */
    uint32_t size;        /* 4 */
};

IMPORT("sock_open") int sock_open(int family, int type, int *opened);
IMPORT("sock_connect") int sock_connect(int fd, const struct address *address, uint32_t port);

enum { IPV4 = 1, STREAM = 2, NOT_CAPABLE = 76 /* ENOTCAPABLE: the policy does not allow it */ };

int main(int argc, char **argv) {
    static const uint8_t host[4] = {127, 0, 0, 1};
    uint32_t port = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    int fd;
    int error = sock_open(IPV4, STREAM, &fd);
    if (error == 0) {
        error = sock_connect(fd, &(struct address){host, sizeof host}, port);
    }
    if (error != 0) {
        printf("no connection: %s\n", error == NOT_CAPABLE ? "the policy does not allow it" : strerror(error));
        return 1;
    }
    static const char question[] = "hello from a module\n";
    char answer[80];
    if (write(fd, question, sizeof question - 1) < 0) {
        perror("write");
        return 1;
    }
    ssize_t size = read(fd, answer, sizeof answer - 1);
    if (size < 0) {
        perror("read");
        return 1;
    }
    answer[size] = 0;
    printf("the server says: %s", answer);
    close(fd);
    return 0;
}
