/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random bytes: ChaCha20 with fast key erasure. Source: RFC 8439 section 2.3 for the block function.
 *
 * Contract: whoever learns the state learns nothing of the bytes given before. The quality is that of the seeds: bytes
 * from a generator that was never seeded are predictable, and the device's status says "unseeded".
 */
#pragma once

#include <stdint.h>

struct sb_random {
    uint8_t key[32];
};

/* Mixes a seed into the state; the old state still counts. */
void sb_random_seed(struct sb_random *random, const uint8_t seed[32]);
void sb_random_bytes(struct sb_random *random, uint8_t *out, uint32_t size);
