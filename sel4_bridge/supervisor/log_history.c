/* SPDX-License-Identifier: Apache-2.0 */
/* Numbered records of one slot's output: see log_history.h. */
#include "log_history.h"

#include <string.h>

#define MASK (SB_HISTORY_SIZE - 1u)

static void copy_in(struct sb_history *h, uint32_t at, const void *data, uint32_t size)
{
    uint32_t offset = at & MASK;
    uint32_t first = size < SB_HISTORY_SIZE - offset ? size : SB_HISTORY_SIZE - offset;
    memcpy(&h->data[offset], data, first);
    memcpy(h->data, (const uint8_t *)data + first, size - first);
}

static void copy_out(const struct sb_history *h, uint32_t at, void *data, uint32_t size)
{
    uint32_t offset = at & MASK;
    uint32_t first = size < SB_HISTORY_SIZE - offset ? size : SB_HISTORY_SIZE - offset;
    memcpy(data, &h->data[offset], first);
    memcpy((uint8_t *)data + first, h->data, size - first);
}

static struct sb_log_record header_at(const struct sb_history *h, uint32_t at)
{
    struct sb_log_record record;
    copy_out(h, at, &record, sizeof record);
    return record;
}

static uint32_t stored(uint16_t size)
{
    return (uint32_t)sizeof(struct sb_log_record) + size;
}

bool sb_history_add(struct sb_history *h, uint8_t stream, bool ends_line, const uint8_t *data, uint16_t size)
{
    struct sb_log_record record = {.size = size, .stream = stream, .ends_line = ends_line};
    uint32_t needed = stored(size);
    /* Bounded: each round forgets one record, and an empty ring has room for the largest. */
    while (SB_HISTORY_SIZE - (h->head - h->tail) < needed) {
        if (h->lossless && h->first >= h->released) {
            return false;
        }
        h->tail += stored(header_at(h, h->tail).size);
        h->first++;
    }
    copy_in(h, h->head, &record, sizeof record);
    copy_in(h, h->head + (uint32_t)sizeof record, data, size);
    h->head += needed;
    h->next++;
    return true;
}

void sb_history_release(struct sb_history *h, uint64_t cursor)
{
    uint64_t known = cursor < h->next ? cursor : h->next;
    if (known > h->released) {
        h->released = known;
    }
}

void sb_history_skip(const struct sb_history *h, struct sb_history_cursor *c)
{
    c->at += stored(header_at(h, c->at).size);
    c->number++;
}

struct sb_history_cursor sb_history_seek(struct sb_history *h, uint64_t number)
{
    struct sb_history_cursor c = {.number = h->first, .at = h->tail, .lost = 0};
    if (number < h->first) {
        c.lost = h->first - number;
        return c;
    }
    if (number >= h->next) {
        c.number = h->next;
        c.at = h->head;
        return c;
    }
    if (h->seek >= h->first && h->seek <= number) {
        c.number = h->seek;
        c.at = h->seek_at;
    }
    while (c.number < number) { /* bounded by the records kept */
        sb_history_skip(h, &c);
    }
    return c;
}

bool sb_history_peek(const struct sb_history *h, const struct sb_history_cursor *c, struct sb_log_record *record)
{
    if (c->number >= h->next) {
        return false;
    }
    *record = header_at(h, c->at);
    return true;
}

void sb_history_read(struct sb_history *h, struct sb_history_cursor *c, uint8_t *out)
{
    struct sb_log_record record = header_at(h, c->at);
    copy_out(h, c->at + (uint32_t)sizeof record, out, record.size);
    c->at += stored(record.size);
    c->number++;
    h->seek = c->number;
    h->seek_at = c->at;
}
