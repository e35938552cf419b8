/* SPDX-License-Identifier: Apache-2.0 */
/* For tools on the host: what decoding and validating a module says and takes, without an instance. */
#pragma once

#include "../include/edge_engine.h"

struct ee_check {
    uint32_t functions, imports, exports, tables, memories, globals;
    uint32_t features;                  /* bits of enum ee_feature */
    uint64_t decoded_bytes, peak_bytes; /* of the arena: kept after decoding; most in use at any time */
};

/* The arena is scratch; nothing in it is needed afterwards. *check is written on success only. */
EE_MUST_CHECK enum ee_status ee_check_module(const uint8_t *bytes, size_t size, void *arena, size_t arena_size,
                                             struct ee_check *check, struct ee_error *error);
