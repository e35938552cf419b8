/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers and properties of instructions, all derived from opcodes.def.
 *
 * An operation's number is its place in one table: single-byte opcodes at 0, those behind 0xfc at EE_PREFIX_FC, those
 * behind 0xfd at EE_PREFIX_FD; so the number follows from the bytes by an addition and gaps are rows without a name.
 */
#pragma once

#include <stdint.h>

enum {
    EE_PREFIX_FC = 0x100,
    EE_PREFIX_FD = 0x120,
    EE_OP_COUNT = 0x220, /* one more than the greatest number */
};
#define EE_OP_NUMBER(prefix, code) ((prefix) == 0xfc ? EE_PREFIX_FC + (code) : (prefix) == 0xfd ? EE_PREFIX_FD + (code) : (code))

enum ee_op {
#define EE_OP(prefix, code, name, text, immediate, aux, signature, feature) EE_OP_##name = EE_OP_NUMBER(prefix, code),
#include "opcodes.def"
#undef EE_OP
};

enum ee_immediate {
    EE_IMM_NONE,
    EE_IMM_BLOCK,         /* block type */
    EE_IMM_LABEL,         /* index: depth */
    EE_IMM_LABELS,        /* br_table: index labels at bytes, then the default label */
    EE_IMM_FUNCTION,      /* index */
    EE_IMM_TYPE_TABLE,    /* index: type, index2: table */
    EE_IMM_TYPES,         /* select: index types at bytes */
    EE_IMM_LOCAL,         /* index */
    EE_IMM_GLOBAL,        /* index */
    EE_IMM_TABLE,         /* index */
    EE_IMM_TABLE_TABLE,   /* index: destination, index2: source */
    EE_IMM_ELEMENT_TABLE, /* index: segment, index2: table */
    EE_IMM_ELEMENT,       /* index */
    EE_IMM_DATA_MEMORY,   /* index: segment; the memory is 0 */
    EE_IMM_DATA,          /* index */
    EE_IMM_MEMORY,        /* memory 0 */
    EE_IMM_MEMORY_MEMORY, /* memory 0, twice */
    EE_IMM_MEMARG,        /* index: log2 of the alignment, value: offset */
    EE_IMM_MEMARG_LANE,   /* as MEMARG, and lane */
    EE_IMM_LANE,          /* lane */
    EE_IMM_SHUFFLE,       /* 16 lanes at bytes */
    EE_IMM_I32,           /* value: zero-extended */
    EE_IMM_I64,           /* value */
    EE_IMM_F32,           /* value: bits */
    EE_IMM_F64,           /* value: bits */
    EE_IMM_V128,          /* 16 bytes at bytes */
    EE_IMM_REFTYPE,       /* index: enum ee_valtype */
};

enum ee_feature {
    EE_FEATURE_MVP,
    EE_FEATURE_SIGN_EXTENSION,
    EE_FEATURE_SATURATING,
    EE_FEATURE_BULK_MEMORY,
    EE_FEATURE_REFERENCE_TYPES,
    EE_FEATURE_SIMD,
    EE_FEATURE_TAIL_CALL,
};

struct ee_op_info {
    uint16_t text : 13;     /* see ee_op_text; 0: no such instruction */
    uint16_t feature : 3;   /* enum ee_feature */
    uint16_t immediate : 5; /* enum ee_immediate */
    uint16_t aux : 6;       /* see opcodes.def */
    char signature[6];      /* see opcodes.def */
};

extern const struct ee_op_info ee_op_info[EE_OP_COUNT];

/* As in the text format; "?" for a number that is no instruction's. */
const char *ee_op_text(uint32_t op);
