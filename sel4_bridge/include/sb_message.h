/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WASI call or its answer as it crosses IPC, apart from any kernel: label and message registers.
 *
 * A call: label = enum sb_wasi_label (generated), words = its scalars and lengths. An answer: words[0] = enum sb_errno,
 * or SB_PENDING ("wait for my notification, then send the same call again"), then one word per result. Bytes lie in
 * the slot's shared buffer (region io<slot>, SB_IO_SIZE bytes) from offset 0, in both directions.
 */
#pragma once

#include <stdint.h>

#define SB_MESSAGE_WORDS 16u

/*
 * A label on the wire is a call's number and the sender's count of calls above it. An engine that was suspended inside a
 * call makes the same one again when it goes on; the wasi domain knows it by its count and repeats its answer. Count 0
 * is never taken for a repetition.
 */
#define SB_LABEL_COUNT_SHIFT 16u
#define SB_LABEL_COUNT_MASK UINT64_C(0xfffffffff) /* 52 bits of label less 16 */
#define SB_LABEL_NUMBER_MASK UINT64_C(0xffff)

struct sb_message {
    uint64_t label;
    uint32_t count; /* words used, <= SB_MESSAGE_WORDS */
    uint64_t words[SB_MESSAGE_WORDS];
};

/* An internet address, in network order. In a message: its size, then two words of its bytes. */
struct sb_address {
    uint32_t size; /* 0: none, 4 or 16 */
    uint8_t bytes[16];
};

static inline uint64_t sb_address_word(const struct sb_address *address, unsigned which)
{
    uint64_t word;
    __builtin_memcpy(&word, address->bytes + (size_t)8 * which, 8);
    return word;
}
