/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Channels of a slot to the outside: topics and sockets that the agent carries (sb_mail.h).
 *
 * Contract: nothing blocks; what can't go on says so, and the slot is woken whenever mail has moved. What arrives was
 * written by the agent, over the supervisor: it is copied, then checked; what makes no sense is dropped and counted.
 * Policy was checked before a channel is opened.
 */
#pragma once

#include <stdbool.h>

#include "sb_filetype.h"
#include "sb_mail_ring.h"

#define SB_CHANNELS 12u       /* of a slot */
#define SB_CHANNEL_ROOM 8192u /* bytes received and not read, power of two */
#define SB_CHANNEL_NAME 256u  /* bytes of a topic or an address */
#define SB_BACKLOG 4u         /* connections waiting to be accepted */

enum sb_channel_state {
    SB_CHANNEL_FREE = 0,
    SB_CHANNEL_IDLE,    /* a socket that was neither connected nor bound */
    SB_CHANNEL_OPENING, /* the agent has not answered yet */
    SB_CHANNEL_OPEN,
    SB_CHANNEL_BROKEN, /* error says why; what was received can still be read */
    SB_CHANNEL_CLOSING, /* nobody has it any more, the agent must still be told */
};

struct sb_channel {
    enum sb_channel_state state;
    enum sb_mail_type type;
    uint16_t error;  /* of SB_CHANNEL_BROKEN */
    bool due_open;   /* SB_MAIL_OPEN is still to be sent */
    bool due_shut;   /* SB_MAIL_SHUT is */
    bool ended;      /* the peer sends no more */
    bool shut;       /* we send no more */
    bool bound, connected; /* of a socket: sock_bind and sock_connect were called; a stream's name is where it is bound */
    uint32_t credit; /* bytes that may be sent */
    uint32_t back;   /* bytes read that the peer was not told of */
    uint32_t head, tail; /* of received, in bytes since it was opened */
    uint32_t waiting[SB_BACKLOG]; /* connections to accept */
    uint32_t waiting_count;
    uint16_t name_size, local_size, peer_size;
    char name[SB_CHANNEL_NAME];
    char local[SB_CHANNEL_NAME], peer[SB_CHANNEL_NAME]; /* "host:port", of a socket that is open */
    uint8_t received[SB_CHANNEL_ROOM];
};

struct sb_channels {
    struct sb_mail *mail; /* shared with the supervisor; NULL: nobody carries anything */
    struct sb_mail_end up, down;
    uint32_t run;
    bool due_hello;
    bool told; /* the agent knows of this run, or of one before it */
    uint64_t broken; /* records that made no sense */
    struct sb_channel all[SB_CHANNELS];
};

void sb_channels_init(struct sb_channels *channels, struct sb_mail *mail);

/* A new run: no channel is left. */
void sb_channels_start(struct sb_channels *channels, uint32_t run);

/* Take what has arrived and send what is due. True: something moved, who waits should look again. */
bool sb_channels_pump(struct sb_channels *channels);

/* A new channel in SB_CHANNEL_IDLE; EMFILE. */
uint16_t sb_channel_new(struct sb_channels *channels, enum sb_mail_type type, uint32_t *number);

/* Have it opened there. ENAMETOOLONG. */
uint16_t sb_channel_open(struct sb_channels *channels, uint32_t number, const char *name, uint32_t size);
void sb_channel_close(struct sb_channels *channels, uint32_t number);

/* Whether it keeps messages apart. */
bool sb_channel_has_messages(const struct sb_channel *channel);

/* A topic is a character device, so that C libraries write a message a line; a socket is one. */
enum sb_filetype sb_channel_file_type(const struct sb_channel *channel);

/* Whether fd_read and fd_write go for it: a topic, or a connection. */
bool sb_channel_is_plain(const struct sb_channel *channel);

/* Bytes that the next read gives, one message at most. EAGAIN: none yet; 0 bytes: the peer's end. */
uint16_t sb_channel_ready(const struct sb_channel *channel, uint32_t *size);

/* Takes them; the rest of a message stays only if `keeps`. */
uint16_t sb_channel_read(struct sb_channels *channels, uint32_t number, uint8_t *to, uint32_t size, bool keeps,
                         uint32_t *done);

/* Whether something can be written. EAGAIN: not yet. */
uint16_t sb_channel_writable(const struct sb_channels *channels, const struct sb_channel *channel);

/* One message whole, or as much of a stream as there is credit for. EAGAIN: not yet. EMSGSIZE. */
uint16_t sb_channel_write(struct sb_channels *channels, uint32_t number, const uint8_t *from, uint32_t size,
                          uint32_t *done);

/* No more data from here. */
void sb_channel_shut(struct sb_channels *channels, uint32_t number);
