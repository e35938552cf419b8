/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on sockets, and proc_raise. Source: preview1, sock_* and proc_raise; WasmEdge's extension for sock_open, sock_bind
 * and so on.
 *
 * A call that waits for the agent (connect, listen) is made again until its channel is open: what it has begun it knows
 * by the channel's state. What isn't there is refused by its errno: ENOTSOCK, ENOTSUP, EAFNOSUPPORT, ENOPROTOOPT.
 */
#include "socket.h"

#include <string.h>

#include "fd.h"
#include "grants.h"
#include "sb_wasi_handlers.h"

enum { FAMILY_UNSPECIFIED = 0, FAMILY_IPV4 = 1 };
enum { TYPE_DATAGRAM = 1, TYPE_STREAM = 2 };
enum { SHUT_READ = 1, SHUT_WRITE = 2 };
enum { LEVEL_SOCKET = 0, OPTION_REUSEADDR = 0, OPTION_TYPE = 1, OPTION_ERROR = 2 };
enum { ENDPOINT = 24 }; /* bytes of "255.255.255.255:65535" and more */

struct endpoint {
    char text[ENDPOINT];
    uint32_t size;
};

static void put_number(struct endpoint *out, uint32_t value)
{
    char digits[10];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        out->text[out->size++] = digits[--count];
    }
}

static uint16_t endpoint_of(const struct sb_address *address, uint32_t port, struct endpoint *out)
{
    out->size = 0;
    if (address->size != 4) {
        return SB_E_AFNOSUPPORT;
    }
    if (port > UINT16_MAX) {
        return SB_E_INVAL;
    }
    for (int i = 0; i < 4; i++) {
        put_number(out, address->bytes[i]);
        out->text[out->size++] = i < 3 ? '.' : ':';
    }
    put_number(out, port);
    return SB_E_SUCCESS;
}

/* A number of at most `most` and its end; NULL: there is none. */
static const char *take_number(const char *text, const char *end, uint32_t most, uint32_t *value)
{
    const char *start = text;
    *value = 0;
    for (; text < end && *text >= '0' && *text <= '9' && *value <= most; text++) {
        *value = *value * 10 + (uint32_t)(*text - '0');
    }
    return text == start || *value > most || (*start == '0' && text > start + 1) ? NULL : text;
}

/* "a.b.c.d:port" from `text` to `end`, all of it. */
static bool parse_endpoint(const char *text, const char *end, struct sb_address *address, uint32_t *port)
{
    uint32_t value;
    address->size = 4;
    for (int i = 0; i < 4; i++) {
        text = take_number(text, end, 255, &value);
        if (text == NULL || text == end || *text != (i < 3 ? '.' : ':')) {
            return false;
        }
        text++;
        address->bytes[i] = (uint8_t)value;
    }
    text = take_number(text, end, UINT16_MAX, port);
    return text == end;
}

bool sb_socket_destination(const char *text)
{
    struct sb_address address;
    uint32_t port;
    bool known = memcmp(text, "tcp:", strlen(text) < 4 ? strlen(text) : 4) == 0 ||
                 memcmp(text, "udp:", strlen(text) < 4 ? strlen(text) : 4) == 0;
    return known && strlen(text) > 4 && parse_endpoint(text + 4, text + strlen(text), &address, &port);
}

/* Whether a word of the policy names this destination. */
static bool granted(const struct sb_wasi_slot *slot, const char *word, bool stream, const char *at, uint32_t size)
{
    const char *text = NULL;
    while ((text = sb_grants_next(slot, word, text)) != NULL) {
        if (strlen(text) == 4u + size && memcmp(text, stream ? "tcp:" : "udp:", 4) == 0 &&
            memcmp(text + 4, at, size) == 0) {
            return true;
        }
    }
    return false;
}

/* The socket of a descriptor, if it has all of those rights. */
static uint16_t socket_of(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open,
                          struct sb_channel **channel)
{
    uint16_t error = sb_fd_get(slot, fd, 0, open);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if ((*open)->kind != SB_FD_CHANNEL || sb_channel_file_type(&slot->channels.all[(*open)->channel]) == SB_TYPE_CHARACTER) {
        return SB_E_NOTSOCK;
    }
    *channel = &slot->channels.all[(*open)->channel];
    return sb_fd_get(slot, fd, rights, open);
}

static bool is_stream(const struct sb_channel *channel)
{
    return channel->type != SB_MAIL_UDP;
}

static uint16_t new_socket(struct sb_wasi_slot *slot, enum sb_mail_type type, uint32_t fdflags, uint32_t *channel,
                           uint32_t *opened)
{
    struct sb_fd open = {.kind = SB_FD_CHANNEL, .flags = (uint16_t)fdflags, .rights = SB_RIGHTS_SOCKET};
    uint16_t error = sb_channel_new(&slot->channels, type, &open.channel);
    if (error == SB_E_SUCCESS) {
        *channel = open.channel;
        error = sb_fd_open(slot, &open, opened);
        if (error != SB_E_SUCCESS) {
            sb_channel_close(&slot->channels, open.channel);
        }
    }
    return error;
}

uint16_t sb_wasi_sock_open(struct sb_wasi_slot *slot, uint32_t family, uint32_t type, uint32_t *opened)
{
    uint32_t channel;
    if (sb_grants_next(slot, "connect=", NULL) == NULL && sb_grants_next(slot, "listen=", NULL) == NULL) {
        return SB_E_NOTCAPABLE;
    }
    if (slot->channels.mail == NULL) {
        return SB_E_NOTSUP; /* nobody carries it */
    }
    if (family != FAMILY_UNSPECIFIED && family != FAMILY_IPV4) {
        return SB_E_AFNOSUPPORT;
    }
    if (type != TYPE_STREAM && type != TYPE_DATAGRAM) {
        return SB_E_PROTONOSUPPORT;
    }
    return new_socket(slot, type == TYPE_STREAM ? SB_MAIL_TCP : SB_MAIL_UDP, 0, &channel, opened);
}

/* What a call that opens a channel answers, by how far it is. */
static uint16_t opening(const struct sb_fd *open, const struct sb_channel *channel)
{
    switch (channel->state) {
    case SB_CHANNEL_OPEN:
        return SB_E_SUCCESS;
    case SB_CHANNEL_BROKEN:
        return channel->error != SB_E_SUCCESS ? channel->error : SB_E_CONNABORTED;
    default:
        return (open->flags & SB_FDFLAG_NONBLOCK) != 0 ? SB_E_INPROGRESS : SB_PENDING;
    }
}

uint16_t sb_wasi_sock_bind(struct sb_wasi_slot *slot, uint32_t fd, const struct sb_address *address, uint32_t port)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    struct endpoint at;
    uint16_t error = socket_of(slot, fd, 0, &open, &channel);
    error = error != SB_E_SUCCESS ? error : endpoint_of(address, port, &at);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (channel->type == SB_MAIL_UDP && channel->state == SB_CHANNEL_OPENING && channel->bound) {
        return opening(open, channel);
    }
    if (channel->type == SB_MAIL_UDP && channel->state == SB_CHANNEL_OPEN && slot->waiting_label == SB_WASI_SOCK_BIND) {
        return SB_E_SUCCESS;
    }
    if (channel->state == SB_CHANNEL_BROKEN && slot->waiting_label == SB_WASI_SOCK_BIND) {
        return channel->error;
    }
    if (channel->state != SB_CHANNEL_IDLE || channel->bound) {
        return SB_E_INVAL;
    }
    if (!granted(slot, "listen=", is_stream(channel), at.text, at.size)) {
        return SB_E_NOTCAPABLE;
    }
    channel->bound = true;
    if (channel->type == SB_MAIL_UDP) {
        error = sb_channel_open(&slot->channels, open->channel, at.text, at.size);
        return error != SB_E_SUCCESS ? error : opening(open, channel);
    }
    memcpy(channel->name, at.text, at.size);
    channel->name_size = (uint16_t)at.size;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_sock_listen(struct sb_wasi_slot *slot, uint32_t fd, uint32_t backlog)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    struct endpoint at;
    (void)backlog; /* SB_BACKLOG connections wait, further ones are turned away */
    uint16_t error = socket_of(slot, fd, SB_RIGHT_SOCK_ACCEPT, &open, &channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (channel->type == SB_MAIL_LISTEN) {
        return opening(open, channel);
    }
    if (channel->type != SB_MAIL_TCP || channel->state != SB_CHANNEL_IDLE || !channel->bound) {
        return channel->type == SB_MAIL_UDP ? SB_E_NOTSUP : SB_E_INVAL;
    }
    at.size = channel->name_size;
    memcpy(at.text, channel->name, at.size);
    channel->type = SB_MAIL_LISTEN;
    error = sb_channel_open(&slot->channels, open->channel, at.text, at.size);
    return error != SB_E_SUCCESS ? error : opening(open, channel);
}

uint16_t sb_wasi_sock_accept(struct sb_wasi_slot *slot, uint32_t fd, uint32_t flags, uint32_t *opened)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    struct endpoint number = {{0}, 0};
    uint32_t taken;
    uint16_t error = socket_of(slot, fd, SB_RIGHT_SOCK_ACCEPT, &open, &channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (channel->type != SB_MAIL_LISTEN || (flags & ~(uint32_t)SB_FDFLAG_NONBLOCK) != 0) {
        return SB_E_INVAL;
    }
    if (channel->waiting_count == 0) {
        return channel->state == SB_CHANNEL_BROKEN ? SB_E_CONNABORTED : sb_fd_again(open, SB_E_AGAIN);
    }
    put_number(&number, channel->waiting[0]);
    error = new_socket(slot, SB_MAIL_TAKE, flags, &taken, opened);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    channel->waiting_count--;
    memmove(channel->waiting, channel->waiting + 1, channel->waiting_count * sizeof *channel->waiting);
    return sb_channel_open(&slot->channels, taken, number.text, number.size);
}

/* A datagram socket that sends before it was bound gets an address from the agent. */
static uint16_t open_datagrams(struct sb_wasi_slot *slot, const struct sb_fd *open, struct sb_channel *channel)
{
    static const char any[] = "0.0.0.0:0";
    if (channel->state == SB_CHANNEL_IDLE) {
        uint16_t error = sb_channel_open(&slot->channels, open->channel, any, sizeof any - 1);
        if (error != SB_E_SUCCESS) {
            return error;
        }
    }
    return opening(open, channel);
}

uint16_t sb_wasi_sock_connect(struct sb_wasi_slot *slot, uint32_t fd, const struct sb_address *address, uint32_t port)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    struct endpoint at;
    uint16_t error = socket_of(slot, fd, 0, &open, &channel);
    error = error != SB_E_SUCCESS ? error : endpoint_of(address, port, &at);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (!granted(slot, "connect=", is_stream(channel), at.text, at.size)) {
        return SB_E_NOTCAPABLE;
    }
    if (channel->type == SB_MAIL_UDP) {
        memcpy(channel->peer, at.text, at.size);
        channel->peer_size = (uint16_t)at.size;
        channel->connected = true;
        return open_datagrams(slot, open, channel);
    }
    if (channel->type != SB_MAIL_TCP || channel->bound) {
        return SB_E_INVAL;
    }
    if (channel->state == SB_CHANNEL_IDLE) {
        error = sb_channel_open(&slot->channels, open->channel, at.text, at.size);
        return error != SB_E_SUCCESS ? error : opening(open, channel);
    }
    return channel->state == SB_CHANNEL_OPEN && slot->waiting_label != SB_WASI_SOCK_CONNECT ? SB_E_ISCONN
                                                                                           : opening(open, channel);
}

/* Reads a datagram behind its sender; what a socket may not hear is dropped. EAGAIN. */
static uint16_t receive_datagram(struct sb_wasi_slot *slot, const struct sb_fd *open, struct sb_channel *channel,
                                 struct sb_out *data, struct sb_address *address, uint32_t *port)
{
    static uint8_t datagram[SB_MAIL_DATA_MAX];
    for (;;) { /* each round takes one of a bounded buffer */
        uint32_t size;
        uint32_t split = 0;
        uint16_t error = sb_channel_read(&slot->channels, open->channel, datagram, sizeof datagram, false, &size);
        if (error != SB_E_SUCCESS) {
            return error;
        }
        while (split < size && datagram[split] != 0) {
            split++;
        }
        const char *from = (const char *)datagram;
        bool heard = split < size && parse_endpoint(from, from + split, address, port);
        heard = heard && (channel->connected ? channel->peer_size == split && memcmp(channel->peer, from, split) == 0
                                             : channel->bound || granted(slot, "connect=", false, from, split));
        if (!heard) {
            continue;
        }
        if (!channel->connected) {
            memcpy(channel->peer, from, split);
            channel->peer_size = (uint16_t)split;
        }
        uint32_t length = size - split - 1;
        data->used = length < data->room ? length : data->room; /* the rest is lost, as everywhere */
        memcpy(data->bytes, datagram + split + 1, data->used);
        return SB_E_SUCCESS;
    }
}

static uint16_t receive(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *data, uint32_t flags,
                        struct sb_address *address, uint32_t *port)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, SB_RIGHT_FD_READ, &open, &channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (flags != 0) {
        return SB_E_NOTSUP;
    }
    if (channel->type == SB_MAIL_LISTEN) {
        return SB_E_NOTCONN;
    }
    if (channel->type == SB_MAIL_UDP) {
        error = receive_datagram(slot, open, channel, data, address, port);
    } else {
        error = sb_channel_read(&slot->channels, open->channel, data->bytes, data->room, true, &data->used);
        (void)parse_endpoint(channel->peer, channel->peer + channel->peer_size, address, port);
    }
    return sb_fd_again(open, error);
}

uint16_t sb_wasi_sock_recv(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *ri_data, uint32_t ri_flags,
                           uint32_t *ro_datalen, uint32_t *ro_flags)
{
    struct sb_address address;
    uint32_t port;
    uint16_t error = receive(slot, fd, ri_data, ri_flags, &address, &port);
    *ro_datalen = ri_data->used;
    *ro_flags = 0;
    return error;
}

uint16_t sb_wasi_sock_recv_from(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *ri_data,
                                struct sb_address *address, uint32_t ri_flags, uint32_t *port, uint32_t *ro_datalen,
                                uint32_t *ro_flags)
{
    uint16_t error = receive(slot, fd, ri_data, ri_flags, address, port);
    *ro_datalen = ri_data->used;
    *ro_flags = 0;
    return error;
}

static uint16_t send_datagram(struct sb_wasi_slot *slot, const struct sb_fd *open, struct sb_channel *channel,
                              struct sb_in data, const char *to, uint32_t to_size, uint32_t *done)
{
    static uint8_t datagram[SB_MAIL_DATA_MAX];
    bool answers = channel->bound && channel->peer_size == to_size && memcmp(channel->peer, to, to_size) == 0;
    if (to_size == 0) {
        return SB_E_DESTADDRREQ;
    }
    if (!answers && !granted(slot, "connect=", false, to, to_size)) {
        return SB_E_NOTCAPABLE;
    }
    uint16_t error = open_datagrams(slot, open, channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (data.size > sizeof datagram - to_size - 1) {
        return SB_E_MSGSIZE;
    }
    memcpy(datagram, to, to_size);
    datagram[to_size] = 0;
    memcpy(datagram + to_size + 1, data.bytes, data.size);
    error = sb_channel_write(&slot->channels, open->channel, datagram, to_size + 1 + data.size, done);
    *done = error == SB_E_SUCCESS ? data.size : 0;
    return sb_fd_again(open, error);
}

uint16_t sb_wasi_sock_send(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in si_data, uint32_t si_flags,
                           uint32_t *so_datalen)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, SB_RIGHT_FD_WRITE, &open, &channel);
    if (error != SB_E_SUCCESS || si_flags != 0) {
        return error != SB_E_SUCCESS ? error : SB_E_NOTSUP;
    }
    if (channel->type == SB_MAIL_UDP) {
        char peer[SB_CHANNEL_NAME];
        memcpy(peer, channel->peer, channel->peer_size);
        return send_datagram(slot, open, channel, si_data, peer, channel->connected ? channel->peer_size : 0, so_datalen);
    }
    error = channel->type == SB_MAIL_LISTEN
                ? SB_E_NOTCONN
                : sb_channel_write(&slot->channels, open->channel, si_data.bytes, si_data.size, so_datalen);
    return sb_fd_again(open, error);
}

uint16_t sb_wasi_sock_send_to(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in si_data,
                              const struct sb_address *address, uint32_t port, uint32_t si_flags, uint32_t *so_datalen)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    struct endpoint to;
    uint16_t error = socket_of(slot, fd, SB_RIGHT_FD_WRITE, &open, &channel);
    error = error != SB_E_SUCCESS ? error : endpoint_of(address, port, &to);
    if (error != SB_E_SUCCESS || si_flags != 0) {
        return error != SB_E_SUCCESS ? error : SB_E_NOTSUP;
    }
    if (channel->type != SB_MAIL_UDP) {
        return SB_E_ISCONN;
    }
    return send_datagram(slot, open, channel, si_data, to.text, to.size, so_datalen);
}

uint16_t sb_wasi_sock_shutdown(struct sb_wasi_slot *slot, uint32_t fd, uint32_t how)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, SB_RIGHT_SOCK_SHUTDOWN, &open, &channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (how == 0 || (how & ~(uint32_t)(SHUT_READ | SHUT_WRITE)) != 0) {
        return SB_E_INVAL;
    }
    if (channel->state != SB_CHANNEL_OPEN || channel->type == SB_MAIL_LISTEN || channel->type == SB_MAIL_UDP) {
        return SB_E_NOTCONN;
    }
    channel->ended |= (how & SHUT_READ) != 0;
    if ((how & SHUT_WRITE) != 0) {
        sb_channel_shut(&slot->channels, open->channel);
    }
    return SB_E_SUCCESS;
}

static uint16_t endpoint_answer(const char *text, uint32_t size, struct sb_address *address, uint32_t *type,
                                uint32_t *port)
{
    *type = FAMILY_IPV4;
    return parse_endpoint(text, text + size, address, port) ? SB_E_SUCCESS : SB_E_NOTCONN;
}

uint16_t sb_wasi_sock_getlocaladdr(struct sb_wasi_slot *slot, uint32_t fd, struct sb_address *address, uint32_t *type,
                                   uint32_t *port)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, 0, &open, &channel);
    return error != SB_E_SUCCESS ? error : endpoint_answer(channel->local, channel->local_size, address, type, port);
}

uint16_t sb_wasi_sock_getpeeraddr(struct sb_wasi_slot *slot, uint32_t fd, struct sb_address *address, uint32_t *type,
                                  uint32_t *port)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, 0, &open, &channel);
    return error != SB_E_SUCCESS ? error : endpoint_answer(channel->peer, channel->peer_size, address, type, port);
}

uint16_t sb_wasi_sock_setsockopt(struct sb_wasi_slot *slot, uint32_t fd, uint32_t level, uint32_t name,
                                 struct sb_in value)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, 0, &open, &channel);
    if (error == SB_E_SUCCESS && value.size != 4) {
        return SB_E_INVAL;
    }
    bool known = level == LEVEL_SOCKET && name == OPTION_REUSEADDR; /* the agent binds so in any case */
    return error != SB_E_SUCCESS ? error : known ? SB_E_SUCCESS : SB_E_NOPROTOOPT;
}

uint16_t sb_wasi_sock_getsockopt(struct sb_wasi_slot *slot, uint32_t fd, uint32_t level, uint32_t name, uint32_t *value,
                                 uint32_t *size)
{
    struct sb_fd *open;
    struct sb_channel *channel;
    uint16_t error = socket_of(slot, fd, 0, &open, &channel);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    *size = 4;
    if (level == LEVEL_SOCKET && name == OPTION_TYPE) {
        *value = is_stream(channel) ? TYPE_STREAM : TYPE_DATAGRAM;
        return SB_E_SUCCESS;
    }
    if (level == LEVEL_SOCKET && name == OPTION_ERROR) {
        *value = channel->state == SB_CHANNEL_BROKEN ? channel->error : 0;
        return SB_E_SUCCESS;
    }
    return SB_E_NOPROTOOPT;
}

uint16_t sb_wasi_sock_getaddrinfo(struct sb_wasi_slot *slot, struct sb_in node, struct sb_in service, uint32_t hints,
                                  uint32_t results, uint32_t most, uint32_t *found)
{
    (void)slot;
    (void)node;
    (void)service;
    (void)hints;
    (void)results;
    (void)most;
    (void)found;
    return SB_E_NOTSUP;
}

uint16_t sb_wasi_proc_raise(struct sb_wasi_slot *slot, uint32_t signal)
{
    (void)slot;
    (void)signal;
    return SB_E_NOTSUP;
}
