/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables that generate.py makes for the translator: handler words by number, operand layouts, the forms of each
 * WebAssembly instruction, and the trie of superinstructions. Operations (EE_DO_*) are numbered in the generated operations.h.
 */
#pragma once

#include "interpret.h"
#include "opcodes.h"

/*
 * Forms are numbered sources * 2 + (result in a slot); where no results go into slots (ONCE, LEAN, stores): sources.
 * See operations.py.
 */
enum ee_shape_kind {
    EE_SHAPE_NONE,
    EE_SHAPE_BINARY, EE_SHAPE_BINARY_WIDE, EE_SHAPE_BINARY_SUM, EE_SHAPE_BINARY_ONCE, EE_SHAPE_BINARY_LEAN,
    EE_SHAPE_UNARY, EE_SHAPE_UNARY_ONCE, EE_SHAPE_UNARY_LEAN,
    EE_SHAPE_LOAD,
    EE_SHAPE_STORE,
    /* Vectors: translate_vector.c, forms as in operations_simd.py. */
    EE_SHAPE_VECTOR_UNARY,
    EE_SHAPE_VECTOR_BINARY,
    EE_SHAPE_VECTOR_SHIFT,
    EE_SHAPE_VECTOR_TERNARY,
    EE_SHAPE_VECTOR_EXTRACT,
    EE_SHAPE_VECTOR_REPLACE,
    EE_SHAPE_VECTOR_SHUFFLE,
    EE_SHAPE_VECTOR_LOAD,
    EE_SHAPE_VECTOR_STORE,
    EE_SHAPE_VECTOR_LANE,
};
/* SA where there is no mirror; constants of more bits where there is one. */
enum { EE_BINARY_SS, EE_BINARY_SK, EE_BINARY_AS, EE_BINARY_AK, EE_BINARY_SA, EE_BINARY_SQ = EE_BINARY_SA, EE_BINARY_AQ,
       EE_BINARY_SW, EE_BINARY_AW };
enum { EE_LEAN_SS, EE_LEAN_AS, EE_LEAN_SA };
enum { EE_STORE_SS, EE_STORE_SA, EE_STORE_SK, EE_STORE_AS, EE_STORE_AK, EE_STORE_KS, EE_STORE_KA,
       EE_STORE_CS, EE_STORE_CA, EE_STORE_CK, EE_STORE_AA };
enum { EE_LOAD_S, EE_LOAD_A, EE_LOAD_K, EE_LOAD_C };

struct ee_shape {
    uint16_t first; /* EE_DO_* of form 0 */
    uint8_t kind;   /* enum ee_shape_kind */
    int8_t mirror;  /* plus the instruction's number: the one that does the same with operands exchanged */
};
enum { EE_NO_MIRROR = INT8_MAX };

/* Operand layouts: four bits an operand, first operand lowest. */
enum { EE_OPERAND_NONE, EE_OPERAND_16, EE_OPERAND_32, EE_OPERAND_64, EE_OPERAND_LABEL };

/*
 * The words that lead to handlers: of operations, then of the trie's nodes behind the root's children. Half the size of distances of 32 bits, a quarter of addresses, and nothing
 * to relocate. Instrumentation that puts every function into a section of its own (EE_HANDLERS_APART) leaves their
 * distances to the linker: then these are distances from the table's own entries, and words are computed.
 */
#if defined(EE_HANDLERS_APART)
extern const int32_t ee_handler_words[] __attribute__((visibility("hidden")));
#define EE_HANDLER_WORD(name, first) ".long " name " - .\n"

static inline uintptr_t ee_handler_address(uint32_t number)
{
    return (uintptr_t)&ee_handler_words[number] + (uintptr_t)(intptr_t)ee_handler_words[number];
}

static inline uint16_t ee_handler_word(const struct ee_instance *in, uint32_t number)
{
    return (uint16_t)((ee_handler_address(number) - (uintptr_t)in->handlers) >> EE_HANDLER_SHIFT);
}
#else
extern const uint16_t ee_handler_words[] __attribute__((visibility("hidden")));
#define EE_STRING(x) #x
#define EE_EXPANDED_STRING(x) EE_STRING(x)
#define EE_HANDLER_WORD(name, first) ".short (" name " - " first ") >> " EE_EXPANDED_STRING(EE_HANDLER_SHIFT) "\n"

static inline uint16_t ee_handler_word(const struct ee_instance *in, uint32_t number)
{
    (void)in;
    return ee_handler_words[number];
}
#endif

extern const uint32_t ee_layouts[];
extern const uint8_t ee_layout_of[]; /* index in ee_layouts, by operation */
extern const struct ee_shape ee_shapes[EE_OP_COUNT];

/*
 * The trie of superinstructions, level by level; node 0 is the root. A node's children lie side by side, sorted by the
 * operation that leads to them, and end where the next node's begin.
 */
extern const uint16_t ee_node_operations[];
extern const uint16_t ee_node_children[]; /* the first one, by node */

static inline uint32_t ee_operand_layout(uint32_t operation) { return ee_layouts[ee_layout_of[operation]]; }
