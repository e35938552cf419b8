/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a module may run in a slot: signature, manifest, classes, sequence number, limits, in this order.
 *
 * Contract: a decision over data, without side effects. The signature is verified before a byte of the manifest is read.
 * A development image admits modules that have neither manifest nor signature; one that has any of the two must be right
 * in everything, on every image.
 */
#pragma once

#include "manifest.h"

/* What the slot allows, and its past. */
struct sb_admission {
    const char *slot_class;
    uint64_t arena_size;  /* bytes */
    uint32_t budget_us;   /* of period_us */
    uint32_t period_us;
    uint64_t sequence;    /* highest that was confirmed, 0: none */
    uint8_t digest[SB_SHA256_SIZE]; /* of the module that had it */
};

/* Who vouches for a module, and what for. */
struct sb_credentials {
    bool is_signed;
    uint8_t key_id[SB_KEY_ID_SIZE]; /* valid if signed, as the manifest */
    struct sb_manifest manifest;
};

enum sb_refusal sb_admit(const struct sb_trust *trust, const struct sb_admission *slot, const uint8_t *module,
                         uint32_t size, const uint8_t digest[SB_SHA256_SIZE], struct sb_credentials *out);

/* The part that time can change (revoked keys, a higher confirmed sequence): asked again at each start. */
enum sb_refusal sb_admit_again(const struct sb_trust *trust, const struct sb_admission *slot,
                               const struct sb_credentials *credentials, const uint8_t digest[SB_SHA256_SIZE]);
