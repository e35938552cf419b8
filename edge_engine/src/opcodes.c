/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of instructions, spelled out from opcodes.def. Texts lie side by side and rows hold their distance: half
 * the size of a table of pointers, and nothing to relocate.
 */
#include "opcodes.h"

#include <stddef.h>

static const struct texts {
    char none[2];
#define EE_OP(prefix, code, name, text, immediate, aux, signature, feature) char name[sizeof(text)];
#include "opcodes.def"
#undef EE_OP
} texts = {
    "?",
#define EE_OP(prefix, code, name, text, immediate, aux, signature, feature) text,
#include "opcodes.def"
#undef EE_OP
};

const struct ee_op_info ee_op_info[EE_OP_COUNT] = {
#define EE_OP(prefix, code, name, text, immediate, aux, signature, feature) \
    [EE_OP_##name] = {offsetof(struct texts, name), EE_FEATURE_##feature, EE_IMM_##immediate, aux, signature},
#include "opcodes.def"
#undef EE_OP
};

_Static_assert(sizeof(struct texts) < 1u << 13, "a row holds the text's distance in 13 bits");
_Static_assert(EE_FEATURE_TAIL_CALL < 8, "a row holds the feature in 3 bits");
_Static_assert(EE_IMM_REFTYPE < 32, "a row holds the kind of immediate in 5 bits");

const char *ee_op_text(uint32_t op) { return (const char *)&texts + (op < EE_OP_COUNT ? ee_op_info[op].text : 0); }
