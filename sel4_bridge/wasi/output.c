/* SPDX-License-Identifier: Apache-2.0 */
/* See output.h. */
#include "output.h"

#include <string.h>

enum { HEADER = sizeof(struct sb_log_record) };

static uint32_t room(const struct sb_output *output)
{
    uint32_t tail = __atomic_load_n(&output->ring->tail, __ATOMIC_ACQUIRE); /* pairs with the CONSUMER's release */
    uint32_t used = output->head - tail;
    return used > SB_LOG_DATA_SIZE ? 0 : SB_LOG_DATA_SIZE - used;
}

static void put(struct sb_output *output, uint32_t offset, const void *bytes, uint32_t size)
{
    uint32_t at = (output->head + offset) & (SB_LOG_DATA_SIZE - 1u);
    uint32_t first = SB_LOG_DATA_SIZE - at < size ? SB_LOG_DATA_SIZE - at : size;
    memcpy(output->ring->data + at, bytes, first);
    memcpy(output->ring->data, (const uint8_t *)bytes + first, size - first);
}

/* Bytes before the first newline, or `size`. */
static uint32_t line_length(const uint8_t *bytes, uint32_t size)
{
    uint32_t length = 0;
    while (length < size && bytes[length] != '\n') {
        length++;
    }
    return length;
}

/* Writes one record that fits, without publishing it. */
static void put_record(struct sb_output *output, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size,
                       bool newline)
{
    struct sb_log_record header = {(uint16_t)size, (uint8_t)stream, newline};
    put(output, 0, &header, HEADER);
    put(output, HEADER, bytes, size);
    output->head += HEADER + ((size + 3u) & ~3u);
}

static void publish(struct sb_output *output)
{
    __atomic_store_n(&output->ring->head, output->head, __ATOMIC_RELEASE); /* pairs with the CONSUMER's acquire */
}

bool sb_output_record(struct sb_output *output, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size)
{
    if (size > SB_LOG_MAX_RECORD || HEADER + ((size + 3u) & ~3u) > room(output)) {
        return false;
    }
    put_record(output, stream, bytes, size, false);
    publish(output);
    return true;
}

uint32_t sb_output_write(struct sb_output *output, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size)
{
    uint32_t left = room(output);
    uint32_t done = 0;
    while (done < size) {
        uint32_t limit = size - done < SB_LOG_MAX_RECORD ? size - done : SB_LOG_MAX_RECORD;
        uint32_t payload = line_length(bytes + done, limit);
        bool newline = payload < limit;
        uint32_t record = HEADER + ((payload + 3u) & ~3u);
        if (record > left) {
            break;
        }
        put_record(output, stream, bytes + done, payload, newline);
        left -= record;
        done += payload + (newline ? 1u : 0u);
    }
    publish(output);
    return done;
}

bool sb_output_wait(struct sb_output *output)
{
    __atomic_store_n(&output->ring->waiting, 1u, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the CONSUMER's fence between tail and waiting */
    return room(output) >= HEADER + SB_LOG_MAX_RECORD;
}
