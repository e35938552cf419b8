/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring of bytes between two protection domains (regions uart_rx and uart_tx): one PRODUCER, one CONSUMER.
 *
 * Contract: head and tail count bytes since boot, modulo 2^32, and index the data modulo SB_RING_DATA_SIZE. Each side
 * keeps its own index in private memory (struct sb_ring_end) and publishes it here; the peer's index is read once with
 * acquire and checked: more used than the capacity is taken as an empty ring by the CONSUMER and as a full one by the
 * PRODUCER. Waking: the side that sleeps sets its flag (consumer_waits or producer_waits), then looks again; the other
 * side, after publishing, takes the flag and notifies if it was set. Flag and index form a store-load pattern on both
 * sides, hence the two full fences.
 *
 * Does NOT: notify (that is the domain's glue), nor keep frames together.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SB_RING_DATA_SIZE 65536u /* bytes, power of two */

struct sb_ring {
    uint32_t head __attribute__((aligned(64)));           /* written by the PRODUCER */
    uint32_t tail __attribute__((aligned(64)));           /* written by the CONSUMER */
    uint32_t consumer_waits __attribute__((aligned(64))); /* CONSUMER sets, PRODUCER clears and notifies */
    uint32_t producer_waits __attribute__((aligned(64))); /* PRODUCER sets, CONSUMER clears and notifies */
    uint8_t data[SB_RING_DATA_SIZE] __attribute__((aligned(4096)));
};
_Static_assert(sizeof(struct sb_ring) == 4096u + SB_RING_DATA_SIZE, "the region's size");

/* One side's private view. */
struct sb_ring_end {
    struct sb_ring *ring;
    uint32_t index; /* own index: head of the PRODUCER, tail of the CONSUMER */
};

/* caller: PRODUCER. Bytes that can be written now. */
static inline uint32_t sb_ring_room(const struct sb_ring_end *end)
{
    uint32_t used = end->index - __atomic_load_n(&end->ring->tail, __ATOMIC_ACQUIRE);
    return used > SB_RING_DATA_SIZE ? 0 : SB_RING_DATA_SIZE - used;
}

/* caller: CONSUMER. Bytes that can be read now. */
static inline uint32_t sb_ring_used(const struct sb_ring_end *end)
{
    uint32_t used = __atomic_load_n(&end->ring->head, __ATOMIC_ACQUIRE) - end->index;
    return used > SB_RING_DATA_SIZE ? 0 : used;
}

/* caller: PRODUCER or CONSUMER. The byte `offset` bytes past the own index; publishes nothing. */
static inline uint8_t *sb_ring_at(const struct sb_ring_end *end, uint32_t offset)
{
    return &end->ring->data[(end->index + offset) & (SB_RING_DATA_SIZE - 1u)];
}

/* caller: PRODUCER or CONSUMER. Bytes from the own index to the end of the data, at most `count`. */
static inline uint32_t sb_ring_contiguous(const struct sb_ring_end *end, uint32_t count)
{
    uint32_t left = SB_RING_DATA_SIZE - (end->index & (SB_RING_DATA_SIZE - 1u));
    return count < left ? count : left;
}

/* caller: PRODUCER. `count` bytes were written at the own index, count <= sb_ring_room(). Wakes nobody. */
static inline void sb_ring_publish(struct sb_ring_end *end, uint32_t count)
{
    end->index += count;
    __atomic_store_n(&end->ring->head, end->index, __ATOMIC_RELEASE);
}

/* caller: PRODUCER, after sb_ring_publish(). True: the CONSUMER sleeps, notify it. */
static inline bool sb_ring_wake_consumer(struct sb_ring_end *end)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sb_ring_consumer_sleeps() */
    return __atomic_exchange_n(&end->ring->consumer_waits, 0u, __ATOMIC_ACQ_REL) != 0;
}

/* caller: CONSUMER. `count` bytes were read at the own index, count <= sb_ring_used(). True: notify the PRODUCER. */
static inline bool sb_ring_consumed(struct sb_ring_end *end, uint32_t count)
{
    end->index += count;
    __atomic_store_n(&end->ring->tail, end->index, __ATOMIC_RELEASE);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sb_ring_producer_sleeps() */
    return __atomic_exchange_n(&end->ring->producer_waits, 0u, __ATOMIC_ACQ_REL) != 0;
}

/* caller: CONSUMER. Ask to be woken. True: the ring is empty, sleep; false: look again now. */
static inline bool sb_ring_consumer_sleeps(struct sb_ring_end *end)
{
    __atomic_store_n(&end->ring->consumer_waits, 1u, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sb_ring_wake_consumer() */
    return sb_ring_used(end) == 0;
}

/* caller: PRODUCER. Ask to be woken when bytes were read. True: less than `needed` room, sleep; false: look again now. */
static inline bool sb_ring_producer_sleeps(struct sb_ring_end *end, uint32_t needed)
{
    __atomic_store_n(&end->ring->producer_waits, 1u, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* pairs with sb_ring_consumed() */
    return sb_ring_room(end) < needed;
}
