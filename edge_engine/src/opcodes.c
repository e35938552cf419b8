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
    [EE_OP_##name] = {offsetof(struct texts, name), EE_IMM_##immediate, aux, EE_FEATURE_##feature, signature},
#include "opcodes.def"
#undef EE_OP
};

const char *ee_op_text(uint32_t op) { return (const char *)&texts + (op < EE_OP_COUNT ? ee_op_info[op].text : 0); }
