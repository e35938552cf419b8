/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an upload may carry instead of a module: the module compressed, or what changed since one that is there.
 *
 * Contract: both are a DEFLATE stream (inflate.h). With SB_ENCODING_DEFLATE it is the module; with SB_ENCODING_DELTA it
 * is steps, each of them
 *
 *   number n, n bytes to write, number m, [m > 0: number z], m bytes to copy from the base
 *
 * until the module has its size. Numbers are LEB128 of at most 32 bits. A copy begins z (zigzag: even z is z / 2 forward,
 * odd z is (z + 1) / 2 back) from where the last one ended, the first one from the base's beginning. What comes out is
 * checked as any other upload: digest, then signature.
 *
 * Does NOT: trust a byte of it: copies stay inside the base, output inside the room that was made for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sb_encoding { SB_ENCODING_NONE = 0, SB_ENCODING_DEFLATE = 1, SB_ENCODING_DELTA = 2 };

/* Decode `in` to exactly `out_size` bytes. `base` is used by a delta. False: that is not what it is. Not reentrant. */
bool sb_decode(enum sb_encoding encoding, const uint8_t *in, size_t in_size, const uint8_t *base, uint32_t base_size,
               uint8_t *out, uint32_t out_size);
