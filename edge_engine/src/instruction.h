/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading one instruction with its immediates (core spec 5.4): used by the validator and by whoever walks a body.
 *
 * Does not check indices, types or nesting: that is the validator's. Instructions of WebAssembly 3.0 that this engine
 * lacks fail with a reason that names their proposal, and unsupported set.
 */
#pragma once

#include "module.h"
#include "reader.h"

struct ee_instruction {
    const uint8_t *at;    /* its first byte */
    const uint8_t *bytes; /* immediates in place: br_table labels, select types, lanes, v128, block type */
    uint64_t value;
    uint32_t index, index2;
    uint16_t op;      /* enum ee_op */
    uint8_t lane;
    bool has_type;    /* EE_IMM_BLOCK: index is a type index, of any value */
    bool unsupported; /* on failure: a known instruction of a proposal that is not in this engine */
};

/* What the fields mean per instruction: enum ee_immediate. On failure r->problem says why and r->p is where. */
EE_MUST_CHECK bool ee_read_instruction(struct ee_reader *r, struct ee_instruction *instruction);

/* Parameters and results of a block, loop or if; pointers to valtype bytes in place. */
struct ee_block_type {
    const uint8_t *params, *results;
    uint32_t param_count, result_count;
};

/* EE_IMM_BLOCK with a valid type index, or in a short form (bytes: 0x40 or the one result's type). */
static inline struct ee_block_type ee_block_type(const struct ee_module *module, const struct ee_instruction *i)
{
    if (i->has_type) {
        const struct ee_functype *type = &module->types[i->index];
        return (struct ee_block_type){module->bytes + type->params, module->bytes + type->results, type->param_count,
                                      type->result_count};
    }
    return (struct ee_block_type){i->bytes, i->bytes, 0, *i->bytes == 0x40 ? 0 : 1};
}

/*
 * Walks local declarations at the start of a body: calls for each run of equal types. r stands at the count.
 * *left must start at EE_LOCALS_BEGIN; returns false at the end (left 0) or on failure (problem set).
 */
struct ee_local_run {
    uint32_t count;
    uint8_t type;
};
EE_MUST_CHECK bool ee_read_local_run(struct ee_reader *r, uint32_t *left, struct ee_local_run *run);
#define EE_LOCALS_BEGIN UINT32_MAX
