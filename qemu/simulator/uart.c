/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PL011 over a socket: the registers that uart.c of sel4_bridge uses, one client at a time.
 *
 * Contract: bytes from the client wait in a queue that the domain sees as the receive FIFO; the interrupt's level is
 * raised while there are some and it is not masked. What the domain sends always has room: it is buffered, and when
 * FLUSH_SIZE of it wait, the whole device waits for the client to take them. Without a client it is dropped, as QEMU
 * does. When a client leaves, the next one in the listening socket's queue is connected.
 *
 * Does NOT: have a baud rate, line errors, or a FIFO of 16 bytes. Source: uart/pl011.h of sel4_bridge.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../sel4_bridge/uart/pl011.h"
#include "sim.h"

enum {
    QUEUE_SIZE = 65536, /* bytes, power of two: more stay in the socket */
    FLUSH_SIZE = 65536,
    SENT_SIZE = 2 * FLUSH_SIZE,
};

static uint8_t queue[QUEUE_SIZE];
static uint32_t queue_head, queue_tail; /* count bytes, modulo 2^32 */
static uint8_t sent[SENT_SIZE];
static size_t sent_size;
static uint32_t mask;
static int listening = -1, client = -1;

static uint32_t queued(void)
{
    return queue_head - queue_tail;
}

int sim_uart_client(void)
{
    uint8_t byte;
    bool left = client >= 0 && recv(client, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
    return left ? -1 : client;
}

static void adopt(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        sim_fail("the client's socket: %s", strerror(errno));
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* not every socket is TCP's */
    client = fd;
}

static bool accept_client(void)
{
    int fd = accept(listening, NULL, NULL);
    if (fd < 0) {
        return false;
    }
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    adopt(fd);
    return true;
}

void sim_uart_init(void)
{
    int accepts = 0;
    socklen_t size = sizeof accepts;
    if (sim.options.uart < 0 || sim_replaying()) {
        return;
    }
    if (getsockopt(sim.options.uart, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size) != 0) {
        sim_fail("--uart %d is not a socket: %s", sim.options.uart, strerror(errno));
    }
    if (accepts) {
        listening = sim.options.uart;
    } else {
        adopt(sim.options.uart);
    }
    if (sim.options.client >= 0) {
        adopt(sim.options.client);
    }
    if (client < 0) {
        struct pollfd waiting = {.fd = listening, .events = POLLIN};
        (void)fcntl(listening, F_SETFL, O_NONBLOCK);
        if (poll(&waiting, 1, sim.options.wait ? -1 : 0) > 0) {
            (void)accept_client();
        }
    }
}

static void lose_client(void)
{
    (void)close(client);
    client = -1;
    sent_size = 0;
    if (listening < 0) {
        sim.ending = 1; /* nobody can come again */
    }
}

/* Takes what the socket has, as far as there is room. False: nothing came. */
static bool take(void)
{
    uint8_t bytes[4096];
    uint32_t room = QUEUE_SIZE - queued();
    if (client < 0 || room == 0) {
        return false;
    }
    ssize_t count = recv(client, bytes, room < sizeof bytes ? room : sizeof bytes, 0);
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) {
        lose_client();
        return true;
    }
    if (count <= 0) {
        return false;
    }
    sim_record_event(SIM_EVENT_INPUT, 0, bytes, (size_t)count);
    sim_uart_input(bytes, (size_t)count);
    return true;
}

void sim_uart_input(const uint8_t *bytes, size_t size)
{
    if (size > QUEUE_SIZE - queued()) {
        sim_fail("%zu bytes of input find no room: the recording is of another simulator", size);
    }
    for (size_t i = 0; i < size; i++) {
        queue[queue_head++ % QUEUE_SIZE] = bytes[i];
    }
    sim_uart_level();
}

static void send_some(void)
{
    if (client < 0) {
        sent_size = 0;
    }
    while (sent_size > 0) {
        ssize_t count = send(client, sent, sent_size, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                lose_client();
            }
            return;
        }
        sent_size -= (size_t)count;
        memmove(sent, sent + count, sent_size);
    }
}

/* A replay says what it sends on stdout. */
static void print_all(void)
{
    for (size_t done = 0; done < sent_size;) {
        ssize_t count = write(STDOUT_FILENO, sent + done, sent_size - done);
        if (count < 0 && errno != EINTR) {
            break;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    sent_size = 0;
}

void sim_uart_flush(void)
{
    if (sim_replaying()) {
        print_all();
    } else {
        send_some();
    }
}

/* So much waits to be sent that the device has to: until the client took some, or left. */
static void wait_for_room(void)
{
    sim_uart_flush();
    while (sent_size >= FLUSH_SIZE && client >= 0 && !sim.ending && !sim.reset) {
        struct pollfd waiting = {.fd = client, .events = POLLOUT};
        (void)poll(&waiting, 1, 100);
        send_some();
    }
}

bool sim_uart_exchange(int64_t wait_ns)
{
    bool came = false;
    send_some();
    if (wait_ns < 0 && client < 0 && listening < 0) {
        sim.ending = 1; /* nothing will ever happen again */
    }
    if (wait_ns != 0) {
        int fd = client >= 0 ? client : listening;
        short events = (short)((client < 0 || queued() < QUEUE_SIZE ? POLLIN : 0) | (sent_size > 0 ? POLLOUT : 0));
        struct pollfd waiting = {.fd = fd, .events = events};
        struct timespec limit = {.tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000};
        sigset_t all, none;
        (void)sigfillset(&all);
        (void)sigprocmask(SIG_SETMASK, &all, &none); /* none may come between looking and waiting */
        if (!sim.ending && !sim.reset) {
            (void)ppoll(&waiting, 1, wait_ns < 0 ? NULL : &limit, &none);
        }
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        send_some();
    }
    if (client < 0 && listening >= 0) {
        came = accept_client();
    }
    while (take()) {
        came = true;
        if (client < 0) {
            break;
        }
    }
    return came;
}

void sim_uart_level(void)
{
    if ((mask & PL011_INT_TX) != 0 || (queued() > 0 && (mask & (PL011_INT_RX | PL011_INT_RT)) != 0)) {
        (void)sim_interrupt(SIM_UART_IRQ);
    }
}

uint32_t sim_uart_read(uint32_t offset)
{
    uint32_t raised = PL011_INT_TX | (queued() > 0 ? PL011_INT_RX | PL011_INT_RT : 0);
    switch (offset) {
    case offsetof(struct pl011, dr):
        return queued() > 0 ? queue[queue_tail++ % QUEUE_SIZE] : 0;
    case offsetof(struct pl011, fr):
        return queued() > 0 ? 0 : PL011_FR_RXFE;
    case offsetof(struct pl011, imsc):
        return mask;
    case offsetof(struct pl011, ris):
        return raised;
    case offsetof(struct pl011, mis):
        return raised & mask;
    default:
        return 0;
    }
}

void sim_uart_write(uint32_t offset, uint32_t value)
{
    switch (offset) {
    case offsetof(struct pl011, dr):
        if (client >= 0 || sim_replaying()) {
            sent[sent_size++] = (uint8_t)value;
            if (sent_size >= FLUSH_SIZE) {
                wait_for_room();
            }
        }
        break;
    case offsetof(struct pl011, imsc):
        mask = value;
        sim_uart_level();
        break;
    default: /* line control, levels, clearing: nothing here depends on them */
        break;
    }
}
