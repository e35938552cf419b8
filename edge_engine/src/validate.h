/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the validator's files only. The algorithm is that of the core spec's appendix 7.3: an operand stack of
 * types (one byte each, as in the binary format) and a control stack. Both live in the arena's free part: operands
 * grow up from what is in use, control frames grow down from the limit; where they would meet, the arena is too small.
 */
#pragma once

#include "error.h"
#include "instruction.h"

enum {
    EE_BOTTOM = 0,          /* an operand of any type, in unreachable code */
    EE_QUICK_LOCALS = 64,   /* locals whose type is looked up directly */
};

struct ee_frame {
    uint32_t type;   /* type index if has_type */
    uint32_t bytes;  /* offset of the short block type's byte */
    uint32_t height; /* of the operand stack at its start, under the parameters */
    uint16_t op;     /* EE_OP_BLOCK, LOOP, IF, ELSE; the function's own frame: EE_OP_BLOCK */
    bool has_type;   /* else: empty or one result, by the byte at `bytes` */
    bool unreachable;
};

/* Locals from the previous run's end up to `end` are of this type. */
struct ee_run {
    uint32_t end;
    uint8_t type;
};

struct ee_validator {
    struct ee_reader r;
    struct ee_module *module;
    struct ee_arena *arena;
    struct ee_error *error;
    struct ee_instruction i; /* the current one */
    uint32_t function;       /* its index, or EE_NO_INDEX in constant expressions */
    uint8_t *declared;       /* bit per function: may ref.func name it? */

    uint8_t *operands;      /* the stack's bottom */
    uint32_t height;        /* operands on it */
    uint32_t most;          /* greatest height in this function */
    uint32_t floor;         /* height of the innermost frame, kept here for speed */
    struct ee_frame *frame; /* the innermost; the next outer one is frame + 1 */
    struct ee_frame *outermost;
    bool uses_v128; /* some operand or local of this function is a v128 */

    struct ee_run *runs; /* of all locals, parameters included */
    uint32_t run_count, local_count;
    uint8_t quick[EE_QUICK_LOCALS];
};

/* Module level (validate.c, validate_const.c). */
enum ee_status ee_validate_constant(struct ee_validator *v, const struct ee_range *range, uint8_t type);
/* count constant expressions in a row, all of one type. */
enum ee_status ee_validate_constants(struct ee_validator *v, const struct ee_range *range, uint32_t count, uint8_t type);
enum ee_status ee_validate_function(struct ee_validator *v, uint32_t function);
/* Only reads a body. EE_MALFORMED: *v->error says why; else it is unchanged and the status has no meaning. */
enum ee_status ee_read_function(struct ee_validator *v, uint32_t function);

/* Errors: the place is the current instruction. */
enum ee_status ee_invalid(struct ee_validator *v, const char *text);
enum ee_status ee_invalid_index(struct ee_validator *v, const char *what, uint32_t index, uint32_t count);
/* The reader failed: malformed, or unsupported if the instruction is a known one. */
enum ee_status ee_invalid_bytes(struct ee_validator *v);
enum ee_status ee_invalid_type(struct ee_validator *v, uint8_t expected, uint8_t found);

/* The two stacks (validate_stack.c). Scratch memory begins at the arena's mark. */
void ee_stack_reset(struct ee_validator *v);
/* Room for that many more operands? EE_NO_MEMORY if not. */
enum ee_status ee_stack_room(struct ee_validator *v, uint32_t operands);
enum ee_status ee_type_push(struct ee_validator *v, uint8_t type);
enum ee_status ee_type_push_all(struct ee_validator *v, const uint8_t *types, uint32_t count);
/* Pops one operand of any type; *type is EE_BOTTOM if unreachable code has none left. */
enum ee_status ee_type_pop_any(struct ee_validator *v, uint8_t *type);
enum ee_status ee_type_pop(struct ee_validator *v, uint8_t type);
enum ee_status ee_type_pop_all(struct ee_validator *v, const uint8_t *types, uint32_t count);
/* The new frame has the type of *type, which gives nothing else. */
enum ee_status ee_frame_push(struct ee_validator *v, uint16_t op, const struct ee_frame *type);
/* Pops the results, checks that nothing else is left, pops the frame. */
enum ee_status ee_frame_pop(struct ee_validator *v, struct ee_frame *frame);
/* What follows is never executed: operands are forgotten, any type may be popped. */
void ee_unreachable(struct ee_validator *v);
struct ee_block_type ee_frame_type(const struct ee_validator *v, const struct ee_frame *frame);
/* Frame that label `depth` names; EE_INVALID if there is none. */
enum ee_status ee_label(struct ee_validator *v, uint32_t depth, struct ee_frame **frame);
/* Types that a branch to the frame takes: a loop's parameters, else the results. */
struct ee_block_type ee_label_types(const struct ee_validator *v, const struct ee_frame *frame);
