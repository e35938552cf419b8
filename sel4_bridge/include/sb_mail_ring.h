/* SPDX-License-Identifier: Apache-2.0 */
/* One direction of a mail region (sb_mail.h) as one side sees it. Does NOT notify. */
#pragma once

#include <stdbool.h>
#include <string.h>

#include "sb_mail.h"

struct sb_mail_end {
    uint32_t *head, *tail; /* shared */
    uint8_t *data;         /* SB_MAIL_RING bytes, shared */
    uint32_t own;          /* the index that this side writes, private */
};

/* caller: PRODUCER. Bytes free. */
static inline uint32_t sb_mail_room(const struct sb_mail_end *end)
{
    uint32_t used = end->own - __atomic_load_n(end->tail, __ATOMIC_ACQUIRE);
    return used > SB_MAIL_RING ? 0 : SB_MAIL_RING - used;
}

/* caller: CONSUMER. Bytes there. */
static inline uint32_t sb_mail_used(const struct sb_mail_end *end)
{
    uint32_t used = __atomic_load_n(end->head, __ATOMIC_ACQUIRE) - end->own;
    return used > SB_MAIL_RING ? 0 : used;
}

static inline void sb_mail_copy_in(uint8_t *data, uint32_t at, const void *bytes, uint32_t size)
{
    uint32_t offset = at & (SB_MAIL_RING - 1u);
    uint32_t first = SB_MAIL_RING - offset < size ? SB_MAIL_RING - offset : size;
    memcpy(data + offset, bytes, first);
    memcpy(data, (const uint8_t *)bytes + first, size - first);
}

static inline void sb_mail_copy_out(const uint8_t *data, uint32_t at, void *bytes, uint32_t size)
{
    uint32_t offset = at & (SB_MAIL_RING - 1u);
    uint32_t first = SB_MAIL_RING - offset < size ? SB_MAIL_RING - offset : size;
    memcpy(bytes, data + offset, first);
    memcpy((uint8_t *)bytes + first, data, size - first);
}

/* caller: PRODUCER. Puts a record, of a head and a body, whole; false: there is no room. */
static inline bool sb_mail_put(struct sb_mail_end *end, const void *head, uint32_t head_size, const void *body,
                               uint32_t body_size)
{
    uint16_t size = (uint16_t)(head_size + body_size);
    if (head_size + body_size > SB_MAIL_MAX || sb_mail_room(end) < size + 2u) {
        return false;
    }
    sb_mail_copy_in(end->data, end->own, &size, 2);
    sb_mail_copy_in(end->data, end->own + 2, head, head_size);
    if (body_size > 0) {
        sb_mail_copy_in(end->data, end->own + 2 + head_size, body, body_size);
    }
    end->own += size + 2u;
    __atomic_store_n(end->head, end->own, __ATOMIC_RELEASE);
    return true;
}

/* caller: CONSUMER. Size of the record `offset` bytes behind the own index; false: none is there whole. */
static inline bool sb_mail_peek(const struct sb_mail_end *end, uint32_t offset, uint16_t *size)
{
    uint32_t used = sb_mail_used(end);
    if (used < offset || used - offset < 2) {
        return false;
    }
    sb_mail_copy_out(end->data, end->own + offset, size, 2);
    return *size <= SB_MAIL_MAX && used - offset - 2 >= *size;
}

/* caller: CONSUMER. Gives `bytes` from the own index back to the PRODUCER. */
static inline void sb_mail_drop(struct sb_mail_end *end, uint32_t bytes)
{
    end->own += bytes;
    __atomic_store_n(end->tail, end->own, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with the PRODUCER's, between up_waits and looking again */
}
