/* SPDX-License-Identifier: Apache-2.0 */
/* See channel.h. */
#include "channel.h"

#include "sb_wasi_calls.h"

enum { HEAD = sizeof(struct sb_mail_head), CREDIT_STEP = SB_CHANNEL_ROOM / 4 };

void sb_channels_init(struct sb_channels *channels, struct sb_mail *mail)
{
    memset(channels, 0, sizeof *channels);
    channels->mail = mail;
    if (mail != NULL) {
        channels->up = (struct sb_mail_end){.head = &mail->up_head, .tail = &mail->up_tail, .data = mail->up};
        channels->down = (struct sb_mail_end){.head = &mail->down_head, .tail = &mail->down_tail, .data = mail->down};
    }
}

static bool send(struct sb_channels *channels, enum sb_mail_kind kind, uint32_t number, uint16_t aux, const void *body,
                 uint32_t size)
{
    struct sb_mail_head head = {(uint8_t)kind, (uint8_t)number, aux, channels->run};
    if (sb_mail_put(&channels->up, &head, HEAD, body, size)) {
        return true;
    }
    __atomic_store_n(&channels->mail->up_waits, 1u, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sb_mail_drop() */
    return sb_mail_put(&channels->up, &head, HEAD, body, size);
}

bool sb_channel_has_messages(const struct sb_channel *channel)
{
    return channel->type == SB_MAIL_PUBLISH || channel->type == SB_MAIL_SUBSCRIBE || channel->type == SB_MAIL_UDP;
}

enum sb_filetype sb_channel_file_type(const struct sb_channel *channel)
{
    if (channel->type == SB_MAIL_PUBLISH || channel->type == SB_MAIL_SUBSCRIBE) {
        return SB_TYPE_CHARACTER;
    }
    return channel->type == SB_MAIL_UDP ? SB_TYPE_SOCKET_DGRAM : SB_TYPE_SOCKET_STREAM;
}

bool sb_channel_is_plain(const struct sb_channel *channel)
{
    return channel->type != SB_MAIL_UDP && channel->type != SB_MAIL_LISTEN;
}

static uint32_t held(const struct sb_channel *channel)
{
    return channel->head - channel->tail;
}

static void ring_in(struct sb_channel *channel, const void *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        channel->received[channel->head++ & (SB_CHANNEL_ROOM - 1u)] = ((const uint8_t *)bytes)[i];
    }
}

static void ring_look(const struct sb_channel *channel, uint32_t offset, void *bytes, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++) {
        ((uint8_t *)bytes)[i] = channel->received[(channel->tail + offset + i) & (SB_CHANNEL_ROOM - 1u)];
    }
}

static void broke(struct sb_channel *channel, uint16_t error)
{
    channel->state = SB_CHANNEL_BROKEN;
    channel->error = error <= SB_E_NOTCAPABLE ? error : SB_E_IO;
    channel->due_open = channel->due_shut = false;
}

/* "local\0peer" of a socket. */
static void take_addresses(struct sb_channel *channel, const uint8_t *bytes, uint32_t size)
{
    uint32_t split = 0;
    while (split < size && bytes[split] != 0) {
        split++;
    }
    uint32_t peer = split < size ? size - split - 1 : 0;
    channel->local_size = (uint16_t)(split < SB_CHANNEL_NAME ? split : 0);
    channel->peer_size = (uint16_t)(peer < SB_CHANNEL_NAME ? peer : 0);
    memcpy(channel->local, bytes, channel->local_size);
    memcpy(channel->peer, bytes + split + (split < size ? 1 : 0), channel->peer_size);
}

static bool number_of(const uint8_t *body, uint32_t size, uint32_t *value)
{
    if (size < 4) {
        return false;
    }
    memcpy(value, body, 4);
    return true;
}

/* Data for a channel; false: more than it was allowed to send. */
static bool arrived(struct sb_channel *channel, const uint8_t *body, uint32_t size)
{
    uint32_t frame = sb_channel_has_messages(channel) ? SB_MAIL_FRAME : 0;
    if (channel->state != SB_CHANNEL_OPEN || channel->type == SB_MAIL_PUBLISH || channel->type == SB_MAIL_LISTEN ||
        size > SB_MAIL_DATA_MAX || size + frame > SB_CHANNEL_ROOM - held(channel)) {
        return false;
    }
    uint16_t length = (uint16_t)size;
    ring_in(channel, &length, frame);
    ring_in(channel, body, size);
    return true;
}

/* A record for a channel that is there; false: it makes no sense. */
static bool take(struct sb_channel *channel, const struct sb_mail_head *head, const uint8_t *body, uint32_t size)
{
    uint32_t value = 0;
    switch (head->kind) {
    case SB_MAIL_OPENED:
        if (channel->state != SB_CHANNEL_OPENING || !number_of(body, size, &value)) {
            return channel->state == SB_CHANNEL_CLOSING;
        }
        channel->state = SB_CHANNEL_OPEN;
        channel->credit = value;
        take_addresses(channel, body + 4, size - 4);
        if (head->aux != SB_E_SUCCESS) {
            broke(channel, head->aux);
        }
        return true;
    case SB_MAIL_DATA:
        return channel->state == SB_CHANNEL_CLOSING || channel->state == SB_CHANNEL_BROKEN ||
               arrived(channel, body, size);
    case SB_MAIL_CREDIT:
        if (!number_of(body, size, &value) || value > UINT32_MAX - channel->credit) {
            return false;
        }
        channel->credit += value;
        return true;
    case SB_MAIL_SHUT:
        channel->ended = true;
        return true;
    case SB_MAIL_CLOSE:
        if (channel->state == SB_CHANNEL_OPENING || channel->state == SB_CHANNEL_OPEN) {
            broke(channel, head->aux);
        }
        return true;
    case SB_MAIL_ACCEPT:
        if (channel->type != SB_MAIL_LISTEN || channel->waiting_count == SB_BACKLOG || !number_of(body, size, &value)) {
            return false;
        }
        channel->waiting[channel->waiting_count++] = value;
        return true;
    default:
        return false;
    }
}

/* The agent is a new one: it gets to know the channels again, but no connection outlived the old one. */
static void introduce(struct sb_channels *channels)
{
    channels->due_hello = true;
    for (uint32_t i = 0; i < SB_CHANNELS; i++) {
        struct sb_channel *channel = &channels->all[i];
        bool topic = channel->type == SB_MAIL_PUBLISH || channel->type == SB_MAIL_SUBSCRIBE;
        if (channel->state == SB_CHANNEL_CLOSING) {
            memset(channel, 0, sizeof *channel);
        } else if ((channel->state == SB_CHANNEL_OPEN && topic) ||
                   (channel->state == SB_CHANNEL_OPENING && channel->type != SB_MAIL_TAKE)) {
            channel->state = SB_CHANNEL_OPENING;
            channel->due_open = true;
        } else if (channel->state == SB_CHANNEL_OPEN || channel->state == SB_CHANNEL_OPENING) {
            broke(channel, SB_E_CONNRESET);
        }
    }
}

static bool take_record(struct sb_channels *channels, const uint8_t *record, uint32_t size)
{
    struct sb_mail_head head;
    if (size < HEAD) {
        return false;
    }
    memcpy(&head, record, HEAD);
    if (head.kind == SB_MAIL_HELLO) {
        introduce(channels);
        return true;
    }
    if (head.run != channels->run || head.channel >= SB_CHANNELS) {
        return head.run != channels->run; /* of a former run: late, not wrong */
    }
    struct sb_channel *channel = &channels->all[head.channel];
    if (channel->state == SB_CHANNEL_FREE || channel->state == SB_CHANNEL_IDLE) {
        return false;
    }
    return take(channel, &head, record + HEAD, size - HEAD);
}

/* True: nothing of it is due any more. Opening comes before everything else, closing after it. */
static bool send_due(struct sb_channels *channels, uint32_t number)
{
    struct sb_channel *channel = &channels->all[number];
    if (channel->due_open) {
        uint8_t body[4 + SB_CHANNEL_NAME];
        uint32_t room = SB_CHANNEL_ROOM - held(channel);
        memcpy(body, &room, 4);
        memcpy(body + 4, channel->name, channel->name_size);
        if (!send(channels, SB_MAIL_OPEN, number, (uint16_t)channel->type, body, 4u + channel->name_size)) {
            return false;
        }
        channel->due_open = false;
        channel->back = 0;
    }
    if (channel->back >= CREDIT_STEP || (channel->back > 0 && held(channel) == 0)) {
        if (channel->state == SB_CHANNEL_OPEN && !send(channels, SB_MAIL_CREDIT, number, 0, &channel->back, 4)) {
            return false;
        }
        channel->back = 0;
    }
    if (channel->due_shut) {
        if (!send(channels, SB_MAIL_SHUT, number, 0, NULL, 0)) {
            return false;
        }
        channel->due_shut = false;
    }
    if (channel->state == SB_CHANNEL_CLOSING) {
        if (!send(channels, SB_MAIL_CLOSE, number, 0, NULL, 0)) {
            return false;
        }
        memset(channel, 0, sizeof *channel);
    }
    return true;
}

static void send_all_due(struct sb_channels *channels)
{
    if (channels->due_hello) {
        if (!send(channels, SB_MAIL_HELLO, 0, 0, NULL, 0)) {
            return;
        }
        channels->due_hello = false;
        channels->told = true;
    }
    for (uint32_t number = 0; number < SB_CHANNELS; number++) {
        if (channels->all[number].state != SB_CHANNEL_FREE && !send_due(channels, number)) {
            return;
        }
    }
}

bool sb_channels_pump(struct sb_channels *channels)
{
    static uint8_t record[SB_MAIL_MAX];
    if (channels->mail == NULL) {
        return false;
    }
    uint32_t up_tail = *channels->up.tail;
    uint32_t before = channels->down.own;
    uint16_t size;
    while (sb_mail_peek(&channels->down, 0, &size)) { /* each round takes bytes of a ring that only mail refills */
        sb_mail_copy_out(channels->down.data, channels->down.own + 2, record, size);
        sb_mail_drop(&channels->down, size + 2u);
        channels->broken += take_record(channels, record, size) ? 0 : 1;
        if (channels->down.own - before >= SB_MAIL_RING) {
            break; /* the rest with the next notification: others have their turn */
        }
    }
    uint32_t sent = channels->up.own;
    send_all_due(channels);
    return channels->down.own != before || channels->up.own != sent || up_tail != sent;
}

void sb_channels_start(struct sb_channels *channels, uint32_t run)
{
    bool known = channels->told;
    for (uint32_t i = 0; i < SB_CHANNELS; i++) {
        known |= channels->all[i].state != SB_CHANNEL_FREE;
    }
    memset(channels->all, 0, sizeof channels->all);
    channels->run = run;
    channels->due_hello = known && channels->mail != NULL;
    channels->told = false;
}

uint16_t sb_channel_new(struct sb_channels *channels, enum sb_mail_type type, uint32_t *number)
{
    for (uint32_t at = 0; at < SB_CHANNELS; at++) {
        if (channels->all[at].state == SB_CHANNEL_FREE) {
            channels->all[at].state = SB_CHANNEL_IDLE;
            channels->all[at].type = type;
            *number = at;
            return SB_E_SUCCESS;
        }
    }
    return SB_E_MFILE;
}

uint16_t sb_channel_open(struct sb_channels *channels, uint32_t number, const char *name, uint32_t size)
{
    struct sb_channel *channel = &channels->all[number];
    if (size > SB_CHANNEL_NAME) {
        return SB_E_NAMETOOLONG;
    }
    memcpy(channel->name, name, size);
    channel->name_size = (uint16_t)size;
    channel->state = SB_CHANNEL_OPENING;
    channel->due_open = true;
    channels->due_hello = channels->due_hello || !channels->told;
    (void)sb_channels_pump(channels);
    return SB_E_SUCCESS;
}

void sb_channel_close(struct sb_channels *channels, uint32_t number)
{
    struct sb_channel *channel = &channels->all[number];
    if (channel->state == SB_CHANNEL_IDLE || channel->due_open) {
        memset(channel, 0, sizeof *channel); /* the agent never heard of it */
    } else if (channel->state != SB_CHANNEL_FREE) {
        channel->state = SB_CHANNEL_CLOSING;
        channel->back = 0;
        (void)sb_channels_pump(channels);
    }
}

uint16_t sb_channel_ready(const struct sb_channel *channel, uint32_t *size)
{
    *size = channel->type == SB_MAIL_LISTEN ? channel->waiting_count : held(channel);
    if (*size > 0) {
        if (sb_channel_has_messages(channel)) {
            uint16_t length;
            ring_look(channel, 0, &length, SB_MAIL_FRAME);
            *size = length;
        }
        return SB_E_SUCCESS;
    }
    if (channel->state == SB_CHANNEL_BROKEN) {
        return channel->error;
    }
    if (channel->state == SB_CHANNEL_IDLE) {
        return SB_E_NOTCONN;
    }
    return channel->ended ? SB_E_SUCCESS : SB_E_AGAIN;
}

uint16_t sb_channel_read(struct sb_channels *channels, uint32_t number, uint8_t *to, uint32_t size, bool keeps,
                         uint32_t *done)
{
    struct sb_channel *channel = &channels->all[number];
    uint32_t ready;
    *done = 0;
    uint16_t error = sb_channel_ready(channel, &ready);
    if (error != SB_E_SUCCESS || held(channel) == 0) {
        return error;
    }
    uint32_t frame = sb_channel_has_messages(channel) ? SB_MAIL_FRAME : 0;
    *done = size < ready ? size : ready;
    ring_look(channel, frame, to, *done);
    if (frame == 0) {
        channel->tail += *done;
        channel->back += *done;
    } else if (keeps && *done < ready) { /* what is left becomes the next message: its length goes before it */
        uint16_t left = (uint16_t)(ready - *done);
        channel->tail += *done;
        channel->back += *done;
        for (uint32_t i = 0; i < SB_MAIL_FRAME; i++) {
            channel->received[(channel->tail + i) & (SB_CHANNEL_ROOM - 1u)] = ((const uint8_t *)&left)[i];
        }
    } else {
        channel->tail += frame + ready;
        channel->back += frame + ready;
    }
    (void)sb_channels_pump(channels);
    return SB_E_SUCCESS;
}

uint16_t sb_channel_writable(const struct sb_channels *channels, const struct sb_channel *channel)
{
    uint32_t least = sb_channel_has_messages(channel) ? SB_MAIL_DATA_MAX + SB_MAIL_FRAME : 1;
    switch (channel->state) {
    case SB_CHANNEL_BROKEN:
        return channel->error != SB_E_SUCCESS ? channel->error : SB_E_PIPE;
    case SB_CHANNEL_OPENING:
        return SB_E_AGAIN;
    case SB_CHANNEL_OPEN:
        if (channel->shut) {
            return SB_E_PIPE;
        }
        return channel->credit >= least && sb_mail_room(&channels->up) >= SB_MAIL_MAX + 2u ? SB_E_SUCCESS : SB_E_AGAIN;
    default:
        return SB_E_NOTCONN;
    }
}

uint16_t sb_channel_write(struct sb_channels *channels, uint32_t number, const uint8_t *from, uint32_t size,
                          uint32_t *done)
{
    struct sb_channel *channel = &channels->all[number];
    bool messages = sb_channel_has_messages(channel);
    *done = 0;
    if (messages && size > SB_MAIL_DATA_MAX) {
        return SB_E_MSGSIZE;
    }
    uint16_t error = sb_channel_writable(channels, channel);
    if (error == SB_E_AGAIN && channel->state == SB_CHANNEL_OPEN) { /* so that the supervisor tells of new room */
        __atomic_store_n(&channels->mail->up_waits, 1u, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sb_mail_drop() */
        error = sb_channel_writable(channels, channel);
    }
    if (error != SB_E_SUCCESS || (size == 0 && !messages)) {
        return error;
    }
    uint32_t part = size < channel->credit ? size : channel->credit;
    part = part < SB_MAIL_DATA_MAX ? part : SB_MAIL_DATA_MAX;
    if (!send(channels, SB_MAIL_DATA, number, 0, from, part)) {
        return SB_E_AGAIN;
    }
    channel->credit -= part + (messages ? SB_MAIL_FRAME : 0);
    *done = part;
    return SB_E_SUCCESS;
}

void sb_channel_shut(struct sb_channels *channels, uint32_t number)
{
    struct sb_channel *channel = &channels->all[number];
    if (!channel->shut && channel->state == SB_CHANNEL_OPEN) {
        channel->shut = channel->due_shut = true;
        (void)sb_channels_pump(channels);
    }
}
