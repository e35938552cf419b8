/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mail between a slot's module and the agent (region mail<slot>, wasi rw, supervisor rw): a ring of records each way.
 *
 * Contract: up: wasi PRODUCER, supervisor CONSUMER; down: the other way round. A record is its size (2 bytes, little
 * endian) and that many bytes, at most SB_MAIL_MAX, and may wrap anywhere. head and tail count bytes since boot, modulo
 * 2^32, and are written by PRODUCER and CONSUMER, release; each side keeps its own in private memory, reads the peer's
 * once, acquire, and takes more used than the capacity for an empty ring (CONSUMER) or a full one (PRODUCER).
 * The supervisor carries records between here and the command `exchange` (docs/PROTOCOL.md) and looks at none of them.
 *
 * A record begins with struct sb_mail_head. It belongs to a run (generation of the launch page): what is not of the
 * present one is dropped. Channels are numbered by wasi; each direction of a channel has a credit in bytes, which the
 * receiver gives with SB_MAIL_OPEN, SB_MAIL_OPENED and SB_MAIL_CREDIT, and every byte of SB_MAIL_DATA takes one, a
 * message's two more. So there is always room for what arrives, and no channel holds up another.
 */
#pragma once

#include <stdint.h>

#define SB_MAIL_REGION_SIZE 69632u /* bytes: one page of indices, two rings */
#define SB_MAIL_RING 32768u        /* bytes of each ring, power of two */
#define SB_MAIL_MAX 4160u          /* bytes of a record */
#define SB_MAIL_DATA_MAX 4096u     /* bytes of data in one; a message is never longer */
#define SB_MAIL_FRAME 2u           /* of credit that a message takes besides its bytes */

enum sb_mail_kind {
    SB_MAIL_HELLO = 1,  /* up: this run begins without any channel; down (run 0): say hello and open your channels again */
    SB_MAIL_OPEN = 2,   /* up: aux = type; u32 credit, then topic or "host:port" */
    SB_MAIL_OPENED = 3, /* down: aux = errno; u32 credit; for sockets "local host:port\0peer host:port" */
    SB_MAIL_DATA = 4,   /* both; for UDP "host:port\0" comes before the bytes */
    SB_MAIL_CREDIT = 5, /* both: u32 bytes more */
    SB_MAIL_SHUT = 6,   /* both: no more data from this side */
    SB_MAIL_CLOSE = 7,  /* up: the channel is gone; down: it broke, aux = errno */
    SB_MAIL_ACCEPT = 8, /* down, of a listening channel: u32 connection, "local\0peer" as in OPENED */
};

enum sb_mail_type {
    SB_MAIL_PUBLISH = 0,
    SB_MAIL_SUBSCRIBE = 1,
    SB_MAIL_TCP = 2,    /* connect there */
    SB_MAIL_UDP = 3,    /* exchange datagrams; the address is where to bind */
    SB_MAIL_LISTEN = 4, /* accept TCP connections there */
    SB_MAIL_TAKE = 5,   /* a connection of SB_MAIL_ACCEPT, by its number in place of an address */
    SB_MAIL_TYPES = 6,
};

struct sb_mail_head {
    uint8_t kind; /* enum sb_mail_kind */
    uint8_t channel;
    uint16_t aux;
    uint32_t run;
};

struct sb_mail {
    uint32_t up_head __attribute__((aligned(64)));
    uint32_t up_tail __attribute__((aligned(64)));
    uint32_t up_waits __attribute__((aligned(64))); /* wasi sets 1 when it found no room: the supervisor notifies */
    uint32_t down_head __attribute__((aligned(64)));
    uint32_t down_tail __attribute__((aligned(64)));
    uint8_t up[SB_MAIL_RING] __attribute__((aligned(4096)));
    uint8_t down[SB_MAIL_RING];
};
_Static_assert(sizeof(struct sb_mail) == SB_MAIL_REGION_SIZE, "the region's size");
