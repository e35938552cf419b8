/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the decoder's files only: one function per section (core spec 5.5), called in the module's order. */
#pragma once

#include "error.h"
#include "instruction.h"

enum ee_section {
    EE_SECTION_CUSTOM,
    EE_SECTION_TYPE,
    EE_SECTION_IMPORT,
    EE_SECTION_FUNCTION,
    EE_SECTION_TABLE,
    EE_SECTION_MEMORY,
    EE_SECTION_GLOBAL,
    EE_SECTION_EXPORT,
    EE_SECTION_START,
    EE_SECTION_ELEMENT,
    EE_SECTION_CODE,
    EE_SECTION_DATA,
    EE_SECTION_DATA_COUNT,
    EE_SECTION_KINDS,
};

struct ee_decoder {
    struct ee_reader r; /* the section being read */
    struct ee_module *module;
    struct ee_arena *arena;
    struct ee_error *error;
    struct ee_range sections[EE_SECTION_KINDS]; /* contents; empty if absent */
    bool present[EE_SECTION_KINDS];
    uint32_t next_table, next_global; /* next number in these index spaces */
    uint32_t memories;                /* seen */
};

enum ee_status ee_decode_types(struct ee_decoder *d);
enum ee_status ee_decode_imports(struct ee_decoder *d);
enum ee_status ee_decode_functions(struct ee_decoder *d);
enum ee_status ee_decode_tables(struct ee_decoder *d);
enum ee_status ee_decode_memories(struct ee_decoder *d);
enum ee_status ee_decode_globals(struct ee_decoder *d);
enum ee_status ee_decode_exports(struct ee_decoder *d);
enum ee_status ee_decode_start(struct ee_decoder *d);
enum ee_status ee_decode_elements(struct ee_decoder *d);
enum ee_status ee_decode_data_count(struct ee_decoder *d);
enum ee_status ee_decode_code(struct ee_decoder *d);
enum ee_status ee_decode_data(struct ee_decoder *d);

/* Allocates the index spaces: imports are counted, the rest is what the sections announce. */
enum ee_status ee_decode_spaces(struct ee_decoder *d);

/* Pieces that several sections share. */
uint32_t ee_decode_offset(const struct ee_decoder *d);
/* EE_MALFORMED at the reader's place, with its problem. */
enum ee_status ee_decode_malformed(const struct ee_decoder *d);
enum ee_status ee_decode_fail(const struct ee_decoder *d, enum ee_status status, const char *text);
/* The number of entries in a section or vector, each of at least entry_size bytes, which must be there. */
enum ee_status ee_decode_count(struct ee_decoder *d, uint32_t entry_size, uint32_t *count);
enum ee_status ee_decode_valtype(struct ee_decoder *d, uint8_t *type);
enum ee_status ee_decode_reftype(struct ee_decoder *d, uint8_t *type);
enum ee_status ee_decode_table_type(struct ee_decoder *d, struct ee_table *table);
enum ee_status ee_decode_memory_type(struct ee_decoder *d);
enum ee_status ee_decode_global_type(struct ee_decoder *d, struct ee_global *global);
/* Skips a constant expression; *range covers it with its `end`. Its types are the validator's business. */
enum ee_status ee_decode_expression(struct ee_decoder *d, struct ee_range *range);
