/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translation of one validated function body into slot code (interpret.h), in one pass.
 *
 * The operand stack exists only here: an entry is a constant, the value of a slot (a local not yet copied, or the
 * entry's own slot), or what an accumulator holds. Code appears when an instruction consumes entries; whatever cannot
 * stay lazy (because a local changes, an accumulator is needed, or control flow meets) is settled into the entry's own
 * slot. The i32 sum of a slot and a constant is lazy too, because loads and stores take it as their address; whoever
 * takes entries for anything else calls ee_resolve first. At a label every live entry is a constant or in its own slot and the accumulators are unknown.
 *
 * Frame: parameters | return address | other locals | operand stack; 8-byte slots.
 *
 * Operations go through a window (translate_emit.c) before they become code: the last one may still get a slot as
 * further destination, and sequences found in the trie become superinstructions.
 *
 * Contract: the body was validated; nothing is checked again. Scratch memory lies at the high end of the arena's free
 * part and is free again afterwards. No recursion. Work is linear in the body's size but for entries waiting below
 * local.set, which cost at most EE_MAX_FRAME_SLOTS each.
 */
#pragma once

#include "handlers.h"
#include "instruction.h"
#include "operations.h" /* generated */

enum ee_place { EE_AT_CONST, EE_AT_SLOT, EE_AT_ACC, EE_AT_SUM };
enum { EE_CLASS_INT, EE_CLASS_FLOAT, EE_CLASSES }; /* the two accumulators */
enum { EE_NO_SLOT = 0xffff, EE_NO_ENTRY = UINT32_MAX, EE_NO_PRODUCER = UINT32_MAX };

struct ee_entry {
    uint64_t value;  /* EE_AT_CONST: bits; v128: offset of its bytes in the module. EE_AT_SUM: the constant */
    uint16_t slot;   /* EE_AT_SLOT: where the value is. EE_AT_SUM: where the other operand is */
    uint16_t own;    /* the entry's own slot */
    uint8_t type;    /* enum ee_valtype */
    uint8_t place;   /* enum ee_place */
};

/* What an accumulator holds. */
struct ee_accumulator {
    uint32_t entry;    /* the stack entry that lives only here (unless it has a home), or EE_NO_ENTRY */
    uint32_t producer; /* number of the operation that made it and could store it in a slot too, or EE_NO_PRODUCER */
    uint16_t home;     /* a slot that holds the same value, or EE_NO_SLOT */
};

enum ee_block_kind { EE_BLOCK_BODY, EE_BLOCK_BLOCK, EE_BLOCK_LOOP, EE_BLOCK_IF, EE_BLOCK_ELSE };

struct ee_block {
    struct ee_block_type type;
    uint32_t height;     /* entries below the parameters */
    uint32_t base;       /* slot of the first parameter and of the first result */
    uint32_t label;      /* loop: code position; others: last branch operand to patch, or EE_NO_INDEX */
    uint32_t else_label; /* if: the branch operand to patch, or EE_NO_INDEX */
    uint32_t fuel;       /* loop and body, metered: position of the charge to patch */
    uint32_t cost;       /* loop and body: instructions counted so far, without those of inner loops */
    uint32_t outer;      /* loop: the next loop (or body) around it */
    uint8_t kind;        /* enum ee_block_kind */
    bool is_target;      /* somebody branches to the label; loops don't care */
};

#define EE_MAX_OPERANDS 6
struct ee_pending {
    uint64_t operands[EE_MAX_OPERANDS];
    uint32_t source; /* of the instruction, bytes from the module's start */
    uint16_t operation;
    uint8_t count;
};
#define EE_WINDOW 16u

struct ee_local {
    uint16_t slot;
    uint16_t aliases; /* entries that stand for the local's value */
    uint8_t type;
};

struct ee_translator {
    struct ee_instance *in;
    const struct ee_module *module;
    struct ee_reader reader;
    struct ee_instruction instruction;
    uint32_t source; /* of the current instruction */

    struct ee_local *locals;   /* by local index */
    uint16_t *local_of_slot;   /* local slots: index of the local */
    uint32_t local_slots;      /* with the return address */
    uint32_t return_slot;      /* holds the return address */
    const struct ee_functype *type;

    struct ee_entry *stack;
    uint32_t height;    /* entries */
    uint32_t next_slot; /* own slot of the next entry */
    uint32_t settled;   /* entries below are settled or constants */
    uint32_t sums;      /* entries that are EE_AT_SUM; none is below settled */
    struct ee_accumulator acc[EE_CLASSES];

    struct ee_block *blocks; /* blocks[-depth]: grows down */
    uint32_t depth;          /* blocks open; their numbers count from 0, the body */
    uint32_t metered;        /* number of the innermost loop, or 0 */
    uint32_t skipped;        /* unreachable: blocks open that have no number */
    bool reachable;

    uint8_t *code;     /* begin */
    uint32_t position; /* bytes written */
    uint32_t room;     /* bytes that may be written; shrinks when blocks open */
    bool dry;          /* nothing is written */
    bool full;         /* no room: give up */

    struct ee_pending window[EE_WINDOW];
    uint32_t first, count; /* ring of pending operations */
    uint32_t serial;       /* number of the next operation */

    uint32_t wanted; /* dry: code position asked for */
    bool is_access;  /* dry: wanted is an instruction that faulted: not before its first access to memory */
    uint32_t found;  /* dry: its instruction, or EE_NO_INDEX */
};

static inline uint32_t ee_class(uint8_t type)
{
    return type == EE_F32 || type == EE_F64 || type == EE_V128 ? EE_CLASS_FLOAT : EE_CLASS_INT;
}

/* translate_emit.c */
/* Appends an operation; slots are given as slot numbers. Returns its serial number. */
uint32_t ee_append(struct ee_translator *t, uint16_t operation, uint8_t count, const uint64_t *operands);
void ee_flush(struct ee_translator *t);
bool ee_is_last(const struct ee_translator *t, uint32_t serial);
/* May the operation with this number still be changed? */
bool ee_in_window(const struct ee_translator *t, uint32_t serial);
/* Makes that operation also store its result: turns it into its twin. */
void ee_also_store(struct ee_translator *t, uint32_t serial, uint32_t slot);
/* If the last operation is i32.eqz, takes it back: *slot is where its operand is, or EE_NO_SLOT: in the accumulator. */
bool ee_take_eqz(struct ee_translator *t, uint32_t *slot);
/* Puts the operation pushed last before the one pushed before it. */
void ee_swap_last(struct ee_translator *t);
void ee_patch(struct ee_translator *t, uint32_t operand, uint32_t target);
void ee_patch_chain(struct ee_translator *t, uint32_t operand, uint32_t target);
void ee_write_label(struct ee_translator *t, uint64_t label);
#define EE_SLOT(n) ((uint64_t)(n) * 8)
#define EE_DO0(t, op) ee_append((t), (op), 0, NULL)
#define EE_DO(t, op, ...) \
    ee_append((t), (op), (uint8_t)(sizeof((uint64_t[]){__VA_ARGS__}) / 8), (uint64_t[]){__VA_ARGS__})

/* Branch operands: the number of a block, or EE_LABEL_PRIVATE (patched by whoever pushed it, right after ee_flush). */
#define EE_LABEL_PRIVATE UINT64_MAX

/* translate_stack.c */
struct ee_entry ee_take(struct ee_translator *t);
void ee_push_const(struct ee_translator *t, uint8_t type, uint64_t value);
void ee_push_slot(struct ee_translator *t, uint8_t type, uint32_t slot); /* EE_NO_SLOT: its own */
/* The sum of the two operands just popped, or false: it can't be lazy. */
bool ee_push_sum(struct ee_translator *t, const struct ee_entry *a, const struct ee_entry *b);
/* Computes those of the top entries that are sums. */
void ee_resolve(struct ee_translator *t, uint32_t count);
/* The result of the operation just pushed; patchable if it has a twin that stores. */
void ee_push_acc(struct ee_translator *t, uint8_t type, bool patchable);
/* Gets an accumulator ready for a new value: whoever lives in it moves to a slot. */
void ee_spill(struct ee_translator *t, uint32_t class);
void ee_settle(struct ee_translator *t, uint32_t index);
void ee_settle_top(struct ee_translator *t, uint32_t count);
void ee_settle_block(struct ee_translator *t);
void ee_forget_accumulators(struct ee_translator *t);
/* A value just popped is put into a slot, or into its accumulator. */
void ee_store_entry(struct ee_translator *t, const struct ee_entry *e, uint32_t slot);
void ee_load_entry(struct ee_translator *t, const struct ee_entry *e);
/* Is the popped value in its accumulator? */
bool ee_in_acc(const struct ee_translator *t, const struct ee_entry *e);
/* Makes sure that a popped value is in a slot (its own, if it must be stored). */
uint32_t ee_in_slot(struct ee_translator *t, struct ee_entry *e);
void ee_local_get(struct ee_translator *t, uint32_t local);
void ee_local_set(struct ee_translator *t, uint32_t index, bool keep);

/* translate_values.c: false if it is not an instruction of values and memory. */
bool ee_translate_value(struct ee_translator *t);

/* translate_vector.c: an instruction with one of the vector shapes. */
void ee_translate_vector(struct ee_translator *t, const struct ee_shape *shape, uint8_t result);

/* translate_control.c */
bool ee_translate_control(struct ee_translator *t);
bool ee_open_block(struct ee_translator *t, uint8_t kind, struct ee_block_type type);
static inline struct ee_block *ee_block_at(struct ee_translator *t, uint32_t number) { return t->blocks - number; }

/* translate_call.c */
bool ee_translate_call(struct ee_translator *t);
/* Returns the top entries; they stay on the stack. */
void ee_return_values(struct ee_translator *t);
