/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module's manifest, decoded: names, limits, permission, health probe; env and policy stay where they are and are
 * named by their place.
 *
 * Contract: takes the bytes of the section after their signature was verified, and still checks every value: a signer's
 * mistake must not become a hole. Unknown keys are refused, and so are words of the policy that this device could not
 * enforce. Maxima are generated from agent/manifest.py (sb_trust_limits.h).
 *
 * Format: docs/signing.md.
 */
#pragma once

#include "module_file.h"
#include "sb_trust_limits.h"
#include "signature.h"

enum sb_health_kind { SB_HEALTH_NONE = 0, SB_HEALTH_EXIT, SB_HEALTH_LINE, SB_HEALTH_ALIVE };

struct sb_manifest {
    char name[SB_MAX_NAME + 1];
    char version[SB_MAX_VERSION + 1];
    char device_class[SB_MAX_CLASS + 1]; /* empty: any */
    char slot_class[SB_MAX_CLASS + 1];   /* empty: any */
    uint64_t sequence;
    uint64_t downgrade_from; /* may replace up to this sequence, 0: no permission */
    uint64_t size;           /* bytes before the manifest's section */
    uint64_t arena;          /* bytes, 0: all of the slot's */
    uint64_t stack;          /* bytes, 0: the engine's default */
    uint64_t fuel;           /* instructions, 0: unlimited */
    uint32_t budget_us;      /* of period_us; both 0: all that the slot has */
    uint32_t period_us;
    enum sb_health_kind health;
    uint32_t health_value;     /* exit code, or seconds alive */
    uint32_t health_timeout_s; /* 0: the device's default */
    struct sb_slice health_line; /* in the module's file, text */
    struct sb_slice env;         /* in the module's file: CBOR texts "K=V", env_count of them */
    struct sb_slice policy;      /* in the module's file: CBOR texts, policy_count of them */
    uint32_t env_count;
    uint32_t policy_count;
};

/* Decode the manifest at `where` in the module's file. */
enum sb_refusal sb_manifest_read(const uint8_t *module, struct sb_slice where, struct sb_manifest *out);
