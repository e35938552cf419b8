/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a module's manifest and signature lie: the chain of its sections, and nothing of what they mean.
 *
 * Contract: takes any bytes; every section must lie inside the file, and the last one must end with it. Bounded by the
 * file's size (a section has at least two bytes).
 * Source: WebAssembly core specification, 5.5.2, 5.5.3, 5.5.16.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "refusal.h"
#include "sha256.h"

/* Bytes of the file, by their place. */
struct sb_slice {
    uint32_t offset;
    uint32_t size;
};

struct sb_module_parts {
    bool has_manifest;
    bool has_signature;
    uint32_t manifest_start; /* of its section; what lies before is the module proper */
    uint32_t payload_size;   /* bytes before the signature's section: what is signed */
    struct sb_slice manifest;
    struct sb_slice signature;
};

/* Content of the first custom section of that name; false: there is none before the sections end or break. */
bool sb_module_custom(const uint8_t *data, uint32_t size, const char *name, struct sb_slice *out);

/* SHA-256 of the file's header and of all sections that are not custom, whole; false: the sections break. */
bool sb_module_core_digest(const uint8_t *data, uint32_t size, uint8_t digest[SB_SHA256_SIZE]);

/*
 * Find manifest and signature. SB_ACCEPTED also for a module without them; has_manifest and has_signature are right for
 * what was read before a refusal, too.
 */
enum sb_refusal sb_module_parts(const uint8_t *data, uint32_t size, struct sb_module_parts *out);
