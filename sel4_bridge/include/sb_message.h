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

struct sb_message {
    uint64_t label;
    uint32_t count; /* words used, <= SB_MESSAGE_WORDS */
    uint64_t words[SB_MESSAGE_WORDS];
};
