/* SPDX-License-Identifier: Apache-2.0 */
/* The table of instructions, spelled out from opcodes.def. */
#include "opcodes.h"

const struct ee_op_info ee_op_info[EE_OP_COUNT] = {
#define EE_OP(prefix, code, name, text, immediate, aux, signature, feature) \
    [EE_OP_##name] = {text, EE_IMM_##immediate, aux, EE_FEATURE_##feature, signature},
#include "opcodes.def"
#undef EE_OP
};
