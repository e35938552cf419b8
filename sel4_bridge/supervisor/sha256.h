/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4), implemented by sha256.zig.
 *
 * Contract: init, any number of updates, one final; then init again. The state may be copied between updates.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SB_SHA256_SIZE 32u /* bytes of a digest */

struct sb_sha256 {
    uint8_t opaque[128] __attribute__((aligned(16)));
};

void sb_sha256_init(struct sb_sha256 *state);
void sb_sha256_update(struct sb_sha256 *state, const uint8_t *data, size_t size);
void sb_sha256_final(struct sb_sha256 *state, uint8_t digest[SB_SHA256_SIZE]);
