/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashing: CRC-32 (reflected, 0xEDB88320; table) and FNV-1a 64 (byte by byte) of a 4 KiB buffer, and an open-addressing
 * hash table of 64-bit keys. Returns crc of round n-1 ^ low 31 bits of the rest; the check is CRC-32("123456789").
 */
#include "kernel.h"

#define BUFFER_BYTES 4096
#define TABLE_SLOTS 2048 /* power of two */

static uint32_t crc_table[256];
static uint8_t buffer[BUFFER_BYTES];
static uint64_t keys[TABLE_SLOTS];
static uint32_t values[TABLE_SLOTS];

static KERNEL_NOINLINE uint32_t crc32(const uint8_t *p, size_t size) {
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++)
        crc = crc_table[(crc ^ p[i]) & 255] ^ crc >> 8;
    return ~crc;
}

static KERNEL_NOINLINE uint64_t fnv1a(const uint8_t *p, size_t size) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t scramble(uint64_t x) {
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 29;
    x *= UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 32;
}

/* Counts key; key is not 0 and the table is never full (at most half of the slots are used). */
static KERNEL_NOINLINE uint32_t count(uint64_t key) {
    uint32_t at = (uint32_t)scramble(key) & (TABLE_SLOTS - 1);
    while (keys[at] != 0 && keys[at] != key)
        at = (at + 1) & (TABLE_SLOTS - 1);
    keys[at] = key;
    return ++values[at];
}

int64_t run(int32_t n) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;
        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
        crc_table[i] = c;
    }
    if (crc32((const uint8_t *)"123456789", 9) != 0xcbf43926u)
        return KERNEL_FAILED;
    uint32_t seed = 1;
    for (size_t i = 0; i < BUFFER_BYTES; i++)
        buffer[i] = (uint8_t)(kernel_random(&seed) >> 11);
    __builtin_memset(keys, 0, sizeof keys);
    __builtin_memset(values, 0, sizeof values);
    uint64_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        buffer[(uint32_t)i % BUFFER_BYTES] ^= (uint8_t)(i + 1);
        sum = kernel_fold(sum, crc32(buffer, BUFFER_BYTES));
        sum = kernel_fold(sum, fnv1a(buffer, BUFFER_BYTES));
        for (int j = 0; j < 1000; j++)
            sum += count(1 + kernel_random(&seed) % (TABLE_SLOTS / 2));
    }
    return (int64_t)(sum & INT64_MAX);
}
