/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signature of a module: one COSE_Sign1 (RFC 9052 section 4.2) with Ed25519 and a detached payload.
 *
 * Contract: exactly one shape is accepted, tag 18 and [protected {1: -8, 3: "application/wasm", 4: key id}, {}, null,
 * 64 bytes], byte for byte. The payload is hashed where it lies: it must not change meanwhile.
 */
#pragma once

#include "trust.h"

struct sb_signature {
    uint8_t key_id[SB_KEY_ID_SIZE];
    uint8_t bytes[SB_ED25519_SIGNATURE_SIZE];
};

enum sb_refusal sb_signature_read(const uint8_t *data, uint32_t size, struct sb_signature *out);

/* Whether a trusted key signed these bytes. */
enum sb_refusal sb_signature_verify(const struct sb_signature *signature, const struct sb_trust *trust,
                                    const uint8_t *payload, uint32_t payload_size);
