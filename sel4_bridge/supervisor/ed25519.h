/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ed25519 signature checks (RFC 8032, PureEdDSA), implemented by ed25519.zig.
 *
 * Contract: begin says false if key or signature are no canonical encodings; after true, any number of updates with the
 * message, then one finish, which says whether the key signed it. Only public data: nothing here needs constant time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_ED25519_KEY_SIZE 32u       /* bytes */
#define SB_ED25519_SIGNATURE_SIZE 64u /* bytes */

struct sb_ed25519 {
    uint8_t opaque[768] __attribute__((aligned(16)));
};

bool sb_ed25519_begin(struct sb_ed25519 *state, const uint8_t key[SB_ED25519_KEY_SIZE],
                      const uint8_t signature[SB_ED25519_SIGNATURE_SIZE]);
void sb_ed25519_update(struct sb_ed25519 *state, const uint8_t *data, size_t size);
bool sb_ed25519_finish(struct sb_ed25519 *state);
