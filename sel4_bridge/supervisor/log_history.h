/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last output of one slot, kept for readers who come later: a bounded ring of numbered records.
 *
 * Contract: records are numbered from 0 since boot without a gap. When there is no room, plain mode forgets the oldest
 * records; lossless mode takes no new record until a reader has asked for a later one (sb_history_release). A record's
 * bytes are stored once, behind a 4-byte header as in sb_log.h.
 *
 * Does NOT: share memory with anyone; draining the shared ring is log_drain.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sb_log.h"

#define SB_HISTORY_SIZE 131072u /* bytes, power of two */

struct sb_history {
    uint64_t first;     /* number of the oldest record kept */
    uint64_t next;      /* number of the next record */
    uint64_t released;  /* lossless: records below this number were read */
    uint32_t tail;      /* position of `first`, counted since boot modulo 2^32 */
    uint32_t head;      /* position of `next` */
    uint64_t seek;      /* a record whose position is known, so that reading on needs no walk */
    uint32_t seek_at;
    bool lossless;
    uint8_t data[SB_HISTORY_SIZE];
};

/* False (lossless only): no room until the reader moves on; the record was not taken. */
bool sb_history_add(struct sb_history *h, uint8_t stream, bool ends_line, const uint8_t *data, uint16_t size);

/* A reader has everything below `cursor`. */
void sb_history_release(struct sb_history *h, uint64_t cursor);

/* Where a reader is. */
struct sb_history_cursor {
    uint64_t number; /* of the next record */
    uint32_t at;     /* private */
    uint64_t lost;   /* records between the wanted one and the oldest kept */
};

/* A cursor at `number`, or at the oldest record kept if that is gone, or at the end if there is no such record yet. */
struct sb_history_cursor sb_history_seek(struct sb_history *h, uint64_t number);

/* Header of the record at the cursor; false at the end. */
bool sb_history_peek(const struct sb_history *h, const struct sb_history_cursor *c, struct sb_log_record *record);

/* Step past the peeked record without reading it. */
void sb_history_skip(const struct sb_history *h, struct sb_history_cursor *c);

/* Copy the peeked record's bytes (record.size of them) and step past it. The next seek finds this place at once. */
void sb_history_read(struct sb_history *h, struct sb_history_cursor *c, uint8_t *out);
