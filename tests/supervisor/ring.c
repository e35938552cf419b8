/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sb_ring.h between two threads: every byte arrives once, in order, and nobody sleeps for ever.
 *
 * Contract: argument 1 is a seed, argument 2 the bytes to send, argument 3 how many the producer wants room for before
 * it goes on. Both sides work in random steps and sleep through the ring's flags, a notification is a semaphore. Exit
 * code 0: all arrived. A lost wake-up ends in the caller's timeout.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "sb_ring.h"

static struct sb_ring ring;
static sem_t wake_consumer;
static sem_t wake_producer;
static uint32_t total;
static uint32_t needed;
static uint64_t seed;

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static uint8_t byte_at(uint32_t position)
{
    return (uint8_t)(position * 2654435761u >> 24);
}

static void *produce(void *unused)
{
    struct sb_ring_end end = {.ring = &ring, .index = 0};
    uint64_t random = seed;
    for (uint32_t sent = 0; sent < total;) {
        uint32_t wanted = needed < total - sent ? needed : total - sent;
        if (sb_ring_room(&end) < wanted) {
            if (sb_ring_producer_sleeps(&end, wanted)) {
                sem_wait(&wake_producer);
            }
            continue;
        }
        uint32_t room = sb_ring_room(&end);
        uint32_t count = 1 + next_random(&random) % (next_random(&random) % 4 == 0 ? SB_RING_DATA_SIZE : 100u);
        count = count < room ? count : room;
        count = count < total - sent ? count : total - sent;
        for (uint32_t i = 0; i < count; i++) {
            *sb_ring_at(&end, i) = byte_at(sent + i);
        }
        sb_ring_publish(&end, count);
        sent += count;
        if (sb_ring_wake_consumer(&end)) {
            sem_post(&wake_consumer);
        }
    }
    return unused;
}

int main(int argc, char **argv)
{
    pthread_t producer;
    if (argc != 4) {
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    total = (uint32_t)strtoul(argv[2], NULL, 10);
    needed = (uint32_t)strtoul(argv[3], NULL, 10);
    sem_init(&wake_consumer, 0, 0);
    sem_init(&wake_producer, 0, 0);
    if (pthread_create(&producer, NULL, produce, NULL) != 0) {
        return 2;
    }
    struct sb_ring_end end = {.ring = &ring, .index = 0};
    uint64_t random = ~seed;
    for (uint32_t received = 0; received < total;) {
        uint32_t used = sb_ring_used(&end);
        if (used == 0) {
            if (sb_ring_consumer_sleeps(&end)) {
                sem_wait(&wake_consumer);
            }
            continue;
        }
        uint32_t count = sb_ring_contiguous(&end, 1 + next_random(&random) % used);
        for (uint32_t i = 0; i < count; i++) {
            if (*sb_ring_at(&end, i) != byte_at(received + i)) {
                return 1;
            }
        }
        received += count;
        if (sb_ring_consumed(&end, count)) {
            sem_post(&wake_producer);
        }
    }
    pthread_join(producer, NULL);
    return 0;
}
