/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tools and bindings on the host: what a module or an instance contains. Not part of the engine proper, whose
 * public header asks for nothing that a device does not need.
 */
#pragma once

#include "../include/edge_engine.h"

struct ee_check {
    uint32_t functions, imports, exports, tables, memories, globals;
    uint32_t features;                  /* bits of enum ee_feature */
    uint64_t decoded_bytes, peak_bytes; /* of the arena: kept after decoding; most in use at any time */
};

/* Decodes and validates. The arena is scratch; nothing in it is needed later. *check is written on success only. */
EE_MUST_CHECK enum ee_status ee_check_module(const uint8_t *bytes, size_t size, void *arena, size_t arena_size,
                                             struct ee_check *check, struct ee_error *error);

/* Export number n of an instance; false if there are fewer. */
bool ee_inspect_export(const struct ee_instance *instance, uint32_t n, struct ee_name *name, enum ee_extern_kind *kind,
                       uint32_t *index);

/* Parameters and results (valtype bytes in the module) of function `index`; false if there is no such function. */
bool ee_inspect_function(const struct ee_instance *instance, uint32_t index, struct ee_import_request *type);

/* Type and current value of global `index`, two slots; false if there is no such global. */
bool ee_inspect_global(const struct ee_instance *instance, uint32_t index, uint8_t *type, uint64_t value[2]);
