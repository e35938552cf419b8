/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A decoded module: what instantiation and translation need to know, in the arena, pointing into the module's bytes.
 *
 * Contract: ee_decode reads everything but function bodies and allocates the tables below from the arena; nothing is
 * copied out of the module but numbers. ee_validate then checks the whole module, bodies included, and fills the
 * fields marked [V]. Only after both returned EE_OK may anybody instantiate or translate. Both use scratch memory at
 * the arena's end of use and give it back. No recursion; time linear in the module's size.
 *
 * Where a record has a range, it counts bytes from the module's start. The *_count fields of index spaces include the
 * imports, which come first.
 */
#pragma once

#include "../include/edge_engine.h"
#include "arena.h"
#include "opcodes.h"

struct ee_range {
    uint32_t begin, end; /* bytes from the module's start */
};

/* Parameters and results are the valtype bytes where they lie in the module. A slot has 8 bytes; v128 takes two. */
struct ee_functype {
    uint32_t params, results;           /* offsets of the valtype bytes */
    uint16_t param_count, result_count; /* values */
    uint16_t param_slots, result_slots;
    uint32_t canonical; /* index of the first structurally equal type of this module */
};

struct ee_function {
    uint32_t type;
    struct ee_range body; /* begins at the local declarations, ends behind the final `end`; imports: empty */
    uint32_t local_slots; /* [V] parameters and locals, slots */
    uint32_t stack_slots; /* [V] greatest height of the operand stack, slots, without the locals */
};

struct ee_limits {
    uint32_t min, max; /* elements or pages; max is what the kind of thing could have at most if none was given */
    bool has_max;
};

struct ee_table {
    struct ee_limits limits;
    uint8_t type; /* enum ee_valtype */
};

struct ee_global {
    struct ee_range init; /* constant expression with its `end`; imports: empty */
    uint8_t type;         /* enum ee_valtype */
    bool is_mutable;
};

/* The thing described is number `index` of its index space (imports come first, in order). */
struct ee_import_entry {
    struct ee_range module, field;
    uint32_t index;
    uint8_t kind; /* enum ee_extern_kind */
};

struct ee_export_entry {
    struct ee_range name;
    uint32_t index;
    uint8_t kind; /* enum ee_extern_kind */
};

enum ee_segment_mode { EE_SEGMENT_ACTIVE, EE_SEGMENT_PASSIVE, EE_SEGMENT_DECLARATIVE };

struct ee_element_segment {
    struct ee_range offset; /* active: constant expression with its `end` */
    struct ee_range items;  /* count LEB128 function indices, or count constant expressions each with its `end` */
    uint32_t count;
    uint32_t table; /* active */
    uint8_t mode;   /* enum ee_segment_mode */
    uint8_t type;   /* enum ee_valtype */
    bool is_expressions;
};

struct ee_data_segment {
    struct ee_range offset; /* active: constant expression with its `end`; the memory is 0 */
    struct ee_range bytes;
    uint8_t mode; /* enum ee_segment_mode */
};

struct ee_module {
    const uint8_t *bytes;
    uint32_t size;

    struct ee_functype *types;
    struct ee_function *functions;
    struct ee_table *tables;
    struct ee_global *globals;
    struct ee_import_entry *imports;
    struct ee_export_entry *exports;
    struct ee_element_segment *elements;
    struct ee_data_segment *data;
    uint32_t type_count, function_count, table_count, memory_count, global_count;
    uint32_t import_count, export_count, element_count, data_count;
    uint32_t imported_functions, imported_tables, imported_memories, imported_globals;
    struct ee_limits memory; /* if memory_count is 1, pages */
    uint32_t page_shift;     /* log2 of a page's bytes: 16, or 0 (custom-page-sizes proposal); other values are invalid */
    uint32_t start;          /* function index, or EE_NO_INDEX */
    bool has_data_count;
    struct ee_range code;           /* section contents */
    struct ee_range name_section;   /* contents behind the name "name"; empty: none. Not validated. */
    struct ee_range function_names; /* contents of its function name subsection; empty: none */
    uint32_t features;              /* [V] bit 1 << enum ee_feature for each group that is used in a body */
    uint32_t simd_offset;           /* [V] first SIMD instruction (or v128 type), or EE_NO_INDEX */
    uint32_t simd_function;         /* [V] the function it is in, or EE_NO_INDEX */
    uint32_t max_local_slots;       /* [V] of any function */
    uint32_t max_stack_slots;       /* [V] of any function */
};

/* On failure *error is complete. *module is allocated from the arena. size must not exceed EE_MAX_MODULE_SIZE. */
EE_MUST_CHECK enum ee_status ee_decode(const uint8_t *bytes, size_t size, struct ee_arena *arena,
                                       struct ee_module **module, struct ee_error *error);

/* Checks everything (core spec, chapter 3). On failure *error is complete. */
EE_MUST_CHECK enum ee_status ee_validate(struct ee_module *module, struct ee_arena *arena, struct ee_error *error);

static inline const struct ee_functype *ee_function_type(const struct ee_module *module, uint32_t function)
{
    return &module->types[module->functions[function].type];
}

static inline const uint8_t *ee_at(const struct ee_module *module, uint32_t offset) { return module->bytes + offset; }

static inline uint32_t ee_valtype_slots(uint8_t type) { return type == EE_V128 ? 2 : 1; }

/* Same parameters and results? The types may belong to different modules. */
bool ee_functype_equal(const struct ee_module *a, const struct ee_functype *x, const struct ee_module *b,
                       const struct ee_functype *y);

/*
 * The name that the name section gives to a function, or else one of its export names; false if there is none.
 * Walks the section: for error messages and backtraces only. Malformed name sections give no names.
 */
bool ee_function_name(const struct ee_module *module, uint32_t function, struct ee_name *name);
