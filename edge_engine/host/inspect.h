/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tools and bindings on the host: what a module or an instance contains. Not part of the engine proper, whose
 * public header asks for nothing that a device does not need.
 */
#pragma once

#include "../include/edge_engine.h"

struct ee_module; /* decoded and valid; lies in the arena it was checked in */

struct ee_check {
    const struct ee_module *module;
    uint32_t functions, imports, exports, tables, memories, globals;
    uint32_t features;                  /* bits of enum ee_feature */
    uint64_t decoded_bytes, peak_bytes; /* of the arena: kept after decoding; most in use at any time */
};

/* Decodes and validates. The arena is scratch, needed later by check->module alone. *check is written on success only. */
EE_MUST_CHECK enum ee_status ee_check_module(const uint8_t *bytes, size_t size, void *arena, size_t arena_size,
                                             struct ee_check *check, struct ee_error *error);

/* Bytes of arena, multiples of 4 KiB. */
struct ee_requirements {
    uint64_t load_bytes; /* the least with which ee_load succeeds */
    /* With this much no function ever lacks room for its translation, in whatever order they are called, while neither
       memory nor tables grow. */
    uint64_t run_bytes;
    uint64_t memory_bytes; /* linear memory at its declared minimum, not rounded; part of both */
    uint64_t code_bytes;   /* every function translated; part of run_bytes */
    uint64_t stack_bytes;  /* call frames in an arena of run_bytes; part of it */
};

/*
 * What the module needs, found by loading it and translating all of it. From config come the arena, which is scratch and
 * should be far larger than the need, the size of the stack and whether the instance is metered; imported functions are
 * taken as given, other imports are refused with EE_UNLINKABLE. Native code in the module is left out of account: what
 * has it needs less. EE_NO_MEMORY: more than config's arena.
 */
EE_MUST_CHECK enum ee_status ee_find_requirements(const uint8_t *bytes, size_t size, const struct ee_config *config,
                                                  struct ee_requirements *requirements, struct ee_error *error);

/* Translates function `index` now instead of at its first call. False: no room, or there is nothing to translate. */
EE_MUST_CHECK bool ee_inspect_translate(struct ee_instance *instance, uint32_t index);

struct ee_described {
    struct ee_name module, field; /* imports only */
    enum ee_extern_kind kind;
    uint32_t index;      /* in the index space of its kind */
    uint8_t type;        /* enum ee_valtype: of a global, of a table's elements */
    bool is_mutable;     /* globals */
    bool has_max;        /* tables, memories */
    uint32_t min, max;   /* elements or pages */
    uint32_t page_bytes; /* memories */
    uint32_t param_count, result_count;
    const uint8_t *params, *results; /* functions: valtype bytes in the module */
};

/* Entry n of the import section; false if there are fewer. */
bool ee_inspect_import(const struct ee_module *module, uint32_t n, struct ee_described *import);

/* As ee_inspect_export, of a module. */
bool ee_inspect_module_export(const struct ee_module *module, uint32_t n, struct ee_name *name,
                              enum ee_extern_kind *kind, uint32_t *index);

/* The thing under an index of the index space of its kind; false if there is none. */
bool ee_inspect_thing(const struct ee_module *module, enum ee_extern_kind kind, uint32_t index,
                      struct ee_described *thing);

/* Export number n of an instance; false if there are fewer. */
bool ee_inspect_export(const struct ee_instance *instance, uint32_t n, struct ee_name *name, enum ee_extern_kind *kind,
                       uint32_t *index);

/* Parameters and results (valtype bytes in the module) of function `index`; false if there is no such function. */
bool ee_inspect_function(const struct ee_instance *instance, uint32_t index, struct ee_import_request *type);

/* Type and current value of global `index`, two slots; false if there is no such global. */
bool ee_inspect_global(const struct ee_instance *instance, uint32_t index, uint8_t *type, uint64_t value[2]);
