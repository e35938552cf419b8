/* SPDX-License-Identifier: Apache-2.0 */
/* CONSUMER of a slot's log ring: see log_drain.h. */
#include "log_drain.h"

#include <string.h>

#define MASK (SB_LOG_DATA_SIZE - 1u)

/* caller: CONSUMER. The ring is the wasi domain's too: bytes are copied before they are looked at. */
static void copy_out(const struct sb_log *log, uint32_t at, void *out, uint32_t size)
{
    uint32_t offset = at & MASK;
    uint32_t first = size < SB_LOG_DATA_SIZE - offset ? size : SB_LOG_DATA_SIZE - offset;
    memcpy(out, &log->data[offset], first);
    memcpy((uint8_t *)out + first, log->data, size - first);
}

void sb_log_watch(struct sb_log_drain *d, const uint8_t *line, uint32_t size)
{
    uint32_t head = __atomic_load_n(&d->log->head, __ATOMIC_ACQUIRE);
    d->watch = (struct sb_line_watch){.line = line, .size = size, .from = head};
}

/* A record is part of a line; only a whole line that is equal counts. */
static void look(struct sb_line_watch *w, const struct sb_log_record *record, const uint8_t *payload)
{
    if (record->stream != SB_LOG_STDOUT) {
        return;
    }
    w->differs |= record->size > w->size - w->matched || memcmp(w->line + w->matched, payload, record->size) != 0;
    w->matched += w->differs ? 0 : record->size;
    if (record->ends_line) {
        w->seen |= !w->differs && w->matched == w->size;
        w->matched = 0;
        w->differs = false;
    }
}

bool sb_log_drain(struct sb_log_drain *d, struct sb_history *history)
{
    uint32_t head = __atomic_load_n(&d->log->head, __ATOMIC_ACQUIRE);
    uint32_t start = d->tail;
    if (head - d->tail > SB_LOG_DATA_SIZE || head % 4 != 0) {
        d->broken++;
        return false; /* an empty ring, until its index makes sense */
    }
    while (d->tail != head) {
        struct sb_log_record record;
        uint8_t payload[SB_LOG_MAX_RECORD];
        uint32_t left = head - d->tail;
        copy_out(d->log, d->tail, &record, sizeof record);
        uint32_t padded = (uint32_t)sizeof record + ((record.size + 3u) & ~3u);
        if (record.size > SB_LOG_MAX_RECORD || padded > left) {
            d->broken++;
            d->tail = head;
            break;
        }
        copy_out(d->log, d->tail + (uint32_t)sizeof record, payload, record.size);
        if (!sb_history_add(history, record.stream, record.ends_line != 0, payload, record.size)) {
            break;
        }
        if (d->watch.line != NULL && (int32_t)(d->tail - d->watch.from) >= 0) {
            look(&d->watch, &record, payload);
        }
        d->tail += padded;
        d->records++;
        d->bytes += record.size;
    }
    if (d->tail == start) {
        return false;
    }
    __atomic_store_n(&d->log->tail, d->tail, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the producer's, between setting `waiting` and looking again */
    return __atomic_exchange_n(&d->log->waiting, 0u, __ATOMIC_ACQ_REL) != 0;
}
