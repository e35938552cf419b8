/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: sieve of Eratosthenes over bytes, block moves (memcpy, memmove, memset: one instruction each in wasm), a ring
 * of pointers chased in random order, and 64-bit words summed. The check: there are 3,512 primes below 32,768.
 */
#include "kernel.h"

#define LIMIT 32768
#define BLOCK 65536
#define LINKS 4096

static uint8_t composite[LIMIT];
static uint8_t block[BLOCK];
static uint32_t follow[LINKS];

static KERNEL_NOINLINE uint32_t sieve(void) {
    uint32_t primes = 0;
    __builtin_memset(composite, 0, sizeof composite);
    for (uint32_t i = 2; i < LIMIT; i++) {
        if (composite[i])
            continue;
        primes++;
        for (uint32_t j = i * i; i < 182 && j < LIMIT; j += i)
            composite[j] = 1;
    }
    return primes;
}

static KERNEL_NOINLINE void move_blocks(uint32_t round) {
    volatile uint32_t quarter = BLOCK / 4; /* unknown to the compiler: the moves stay moves */
    __builtin_memset(block, (int)(round & 255), quarter);
    __builtin_memcpy(block + quarter, composite, quarter);
    __builtin_memmove(block + 1 + (round & 63), block, 3 * quarter);
    __builtin_memcpy(block + 3 * quarter, block + (round & 31), quarter / 2);
}

static KERNEL_NOINLINE uint64_t sum_words(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i + 8 <= BLOCK; i += 8) {
        uint64_t word;
        __builtin_memcpy(&word, block + i, 8);
        sum = (sum << 1 | sum >> 63) + word;
    }
    return sum;
}

static KERNEL_NOINLINE uint32_t chase(uint32_t from, uint32_t steps) {
    while (steps-- > 0)
        from = follow[from];
    return from;
}

int64_t run(int32_t n) {
    uint32_t seed = 5;
    for (uint32_t i = 0; i < LINKS; i++)
        follow[i] = i;
    for (uint32_t i = LINKS - 1; i > 0; i--) { /* Sattolo's shuffle: one cycle through all of them */
        uint32_t j = kernel_random(&seed) % i, swap = follow[i];
        follow[i] = follow[j];
        follow[j] = swap;
    }
    if (chase(0, LINKS) != 0)
        return KERNEL_FAILED;
    __builtin_memset(block, 0, sizeof block);
    uint64_t sum = 0;
    uint32_t at = 0;
    for (int32_t round = 0; round < n; round++) {
        if (sieve() != 3512)
            return KERNEL_FAILED;
        move_blocks((uint32_t)round);
        at = chase(at, 10000);
        sum = kernel_fold(sum, sum_words() + at);
    }
    return (int64_t)sum;
}
