/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every bench kernel shares. A kernel is one C file that exports run(n) -> checksum: n rounds of the same work,
 * deterministic, the same 64 bits on every engine and on native code (build with -ffp-contract=off).
 *
 * No libc: wasm32-freestanding and a native shared object come from the same file. memcpy, memmove and memset through
 * the builtins become memory.copy and memory.fill in wasm and the C library's functions in native code.
 * run() returns KERNEL_FAILED if the kernel's own check of its results fails.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define KERNEL_EXPORT __attribute__((visibility("default"), used))
#define KERNEL_NOINLINE __attribute__((noinline))
#define KERNEL_FAILED INT64_C(-1)

KERNEL_EXPORT int64_t run(int32_t n);

/* xorshift32: state must not be 0. */
static inline uint32_t kernel_random(uint32_t *state) {
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    *state = x;
    return x;
}

/* Folds one value into a checksum; the result is never negative, so it differs from KERNEL_FAILED. */
static inline uint64_t kernel_fold(uint64_t sum, uint64_t value) {
    sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return (sum ^ (sum >> 29)) & INT64_MAX;
}

static inline uint64_t kernel_bits(double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}
