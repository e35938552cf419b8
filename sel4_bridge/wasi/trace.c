/* SPDX-License-Identifier: Apache-2.0 */
/* See trace.h and sb_trace.h. */
#include "trace.h"

#include <string.h>

#include "sb_trace.h"

static uint32_t bounded(uint32_t count)
{
    return count < SB_MESSAGE_WORDS ? count : SB_MESSAGE_WORDS;
}

void sb_trace_dispatch(struct sb_wire *wire)
{
    struct sb_wasi_slot *slot = wire->slot;
    const struct sb_wasi_host *host = slot->host;
    uint8_t record[sizeof(struct sb_trace_head) + sizeof(uint64_t) * 2 * SB_MESSAGE_WORDS + SB_TRACE_MAX_BYTES];
    uint8_t bytes[SB_TRACE_MAX_BYTES];
    struct sb_trace_head head = {
        .label = (uint16_t)wire->message->label,
        .count_in = (uint8_t)bounded(wire->message->count),
        .start_ns = host->monotonic_ns(host->context),
        .number = (uint32_t)slot->counters.calls,
    };
    uint8_t *at = record + sizeof head;
    memcpy(at, wire->message->words, head.count_in * sizeof(uint64_t));
    at += head.count_in * sizeof(uint64_t);
    memcpy(bytes, slot->io, sizeof bytes); /* shown, not used */
    sb_wasi_dispatch(wire);
    uint64_t duration_ns = host->monotonic_ns(host->context) - head.start_ns;
    head.duration_ns = duration_ns < UINT32_MAX ? (uint32_t)duration_ns : UINT32_MAX;
    head.count_out = (uint8_t)bounded(wire->message->count);
    memcpy(at, wire->message->words, head.count_out * sizeof(uint64_t));
    at += head.count_out * sizeof(uint64_t);
    head.in_size = wire->in_size < sizeof bytes ? wire->in_size : (uint32_t)sizeof bytes;
    memcpy(at, bytes, head.in_size);
    at += head.in_size;
    memcpy(record, &head, sizeof head);
    host->trace(host->context, slot->number, record, (uint32_t)(at - record));
}
