/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invariant, for every string of bytes and every size of arena: decoding and validating reads nothing beyond the
 * bytes, writes nothing beyond the arena, ends, and answers either EE_OK or an error whose place lies in the module.
 * The same bytes in a larger arena get the same answer, unless the smaller one was too small.
 *
 * libFuzzer's entry for edge_engine/src/{decode,validate}*.c; build and use: python -m tests.fuzz.
 */
#include <stdlib.h>
#include <string.h>

#include "../../edge_engine/host/inspect.h"

enum { ARENA = 4 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum ee_status check(const uint8_t *data, size_t size, uint8_t *arena, size_t arena_size)
{
    struct ee_check result;
    struct ee_error error;
    memset(&error, 0xa5, sizeof error);
    enum ee_status status = ee_check_module(data, size, arena, arena_size, &result, &error);
    if (status == EE_OK) {
        if (result.peak_bytes > arena_size || result.decoded_bytes > result.peak_bytes)
            abort();
        return status;
    }
    if (status != error.status || memchr(error.text, 0, sizeof error.text) == NULL || error.text[0] == 0)
        abort();
    if (error.offset != EE_NO_INDEX && error.offset > size)
        abort();
    if (status != EE_MALFORMED && status != EE_INVALID && status != EE_UNSUPPORTED && status != EE_NO_MEMORY)
        abort();
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *arena;
    if (arena == NULL && (arena = malloc(ARENA)) == NULL)
        abort();
    enum ee_status whole = check(data, size, arena, ARENA);
    /* A small arena of its own allocation, whose end the sanitizer watches; its size comes from the bytes. */
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 16777619u;
    size_t small = (hash >> 8) % (size * 8 + 1024);
    uint8_t *tight = malloc(small != 0 ? small : 1);
    if (tight == NULL)
        abort();
    enum ee_status status = check(data, size, tight, small);
    free(tight);
    if (status != whole && status != EE_NO_MEMORY)
        abort();
    return 0;
}
