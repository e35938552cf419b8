/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The running half: an instance and what it refers to. Everything lies in the instance's own arena, whose first bytes
 * are struct ee_instance itself, so 32-bit offsets from the instance reach every cell and every piece of code.
 *
 *   arena:  instance | module tables | functions, tables, globals | frame stack | code, as functions are first called
 *           ... free ... | linear memory, its end at the arena's end
 *
 * A reference is a 64-bit value: 0 is null, a function reference is the address of its owner's struct ee_func.
 */
#pragma once

#include "../include/edge_engine.h"
#include "arena.h"
#include "bytes.h"
#include "module.h"

#define EE_MAX_FRAME_SLOTS 8000u /* slots of 8 bytes: a slot operand is a 16-bit byte offset */
#define EE_MAX_NESTING 24u       /* ee_call inside host functions inside ee_call, per instance */
#define EE_TRACE_FRAMES 64u      /* of a backtrace */
#define EE_STACK_RED_ZONE 64u    /* bytes behind stack_limit that a frame's header may still reach */

struct ee_func {
    struct ee_instance *owner;
    uint32_t code;  /* offset of its translation from the owner's start; EE_LAZY_CODE before the first call */
    uint32_t type;  /* canonical index in the owner's module */
    const void *native; /* native code, or NULL */
};

struct ee_host_function {
    ee_host_fn function;
    void *context;
};

struct ee_memory_cell {
    uint8_t *base;   /* moves down when the memory grows */
    uint64_t size;   /* bytes */
    uint32_t pages;
    uint32_t max;        /* pages, declared */
    uint32_t page_shift; /* log2 of a page's bytes */
    bool has_max;
    struct ee_instance *owner; /* whose arena it lies in */
};

struct ee_table_cell {
    uint64_t *elements; /* references */
    uint32_t size, capacity;
    uint32_t max;
    bool has_max;
    uint8_t type;
    struct ee_instance *owner;
};

struct ee_global_cell {
    uint64_t value[2]; /* v128 takes both */
};

/* A saved state of the frame stack, below the frames of one ee_call. */
struct ee_activation {
    _Alignas(16) struct ee_activation *previous; /* of this instance */
    uint8_t *top;
    struct ee_instance *caller; /* whose code made this call; NULL: the host */
    const uint8_t *native_limit; /* of the instance before this call */
    struct ee_crossing *crossing; /* likewise */
    const void *native_frame;    /* of the engine's function that native code called for this, or NULL */
};

/* A way into native code, on the machine's stack: what a backtrace goes on with behind it. */
struct ee_crossing {
    struct ee_crossing *outer; /* of whatever called */
    const uint8_t *back;       /* in translated code, where the interpreter goes on; NULL: it was ee_call itself */
    uint8_t *fp;               /* the interpreter's frame of the call */
};

/* One line of a backtrace. */
struct ee_frame {
    uint32_t function;
    uint32_t code; /* offset of translated code from the instance, 0: native */
};

struct ee_instance {
    uint8_t stubs[24]; /* tiny pieces of code: where calls from outside return to, and what untranslated functions are */
    struct ee_memory_cell *memory; /* memory 0; without one an empty cell */
    const struct ee_table_cell *table; /* table 0; without one an empty cell */
    uint8_t *stack_limit;              /* no frame reaches beyond */
    int64_t fuel;
    struct ee_func *functions;              /* the whole index space; a host function never gets code */
    struct ee_func **references;            /* [imported functions] what a reference to an import points to */
    struct ee_host_function *hosts;         /* [imported functions] function NULL: an import from another instance */
    struct ee_table_cell **tables;
    struct ee_global_cell **globals;
    struct ee_module *module;
    const uint8_t *handlers; /* the lowest one */

    /* Native code: native.h. */
    struct ee_memory_cell own_memory;
    struct ee_global_cell *own_globals; /* those that are not imported, side by side */
    const struct ee_native_helpers *helpers;
    const uint8_t *native_limit; /* the machine's stack does not reach below; NULL: outside of native code */
    size_t native_stack;         /* bytes */
    const uint8_t *native_code;  /* NULL: none */
    const uint8_t *native_entries; /* struct ee_native_entry, unaligned */
    size_t native_size;          /* bytes of code */
    uint64_t native_frame;       /* of the engine's function that raised a trap for native code */
    struct ee_crossing *crossing; /* the innermost, of the innermost ee_call */
    const void *native_call;     /* of the engine's function that native code called and that calls ee_invoke now */
    uint32_t trace_depth;        /* calls open at the trap, if native code had a part in it; 0: trap_pc says all */
    struct ee_frame trace[EE_TRACE_FRAMES]; /* innermost first */

    uint64_t result_int;
    uint64_t result_float[2];

    uint8_t *stack_base;
    uint8_t *top; /* where the next ee_call puts its frames */
    struct ee_activation *activation;
    uint32_t depth;

    bool metered;
    bool started;
    uint8_t *element_dropped, *data_dropped; /* one byte per segment */

    struct ee_table_cell no_table;
    struct ee_arena arena;
    size_t arena_size;
    uint32_t max_pages; /* ceiling of the configuration, 0: none */
    size_t stack_size;
    size_t code_bytes;
    uint32_t untranslated; /* bytes of bodies that have no translation yet */

    enum ee_trap trap;
    const uint8_t *trap_pc; /* code, or NULL */
    uint8_t *trap_fp;
};

#define EE_EXIT_CODE 4u /* offset of the exit stub: bytes 2..3 before it are the frame distance 0 */
#define EE_LAZY_CODE 16u /* offset of the stub that translates a function first */

static inline uint8_t *ee_arena_end(const struct ee_instance *in) { return in->arena.base + in->arena_size; }

static inline const uint8_t *ee_code(const struct ee_instance *in, uint32_t offset)
{
    return (const uint8_t *)in + offset;
}

static inline bool ee_is_imported(const struct ee_instance *in, uint32_t function)
{
    return function < in->module->imported_functions;
}

/* Index in its owner's index space. */
static inline uint32_t ee_func_index(const struct ee_func *function)
{
    return (uint32_t)(function - function->owner->functions);
}

/* The reference value of function `index` of this instance's index space. */
static inline struct ee_func *ee_reference(const struct ee_instance *in, uint32_t index)
{
    return ee_is_imported(in, index) ? in->references[index] : &in->functions[index];
}

/* memory.c */
uint32_t ee_memory_grow(struct ee_instance *in, uint32_t pages);
enum ee_trap ee_memory_copy(struct ee_instance *in, const uint64_t *operands);
enum ee_trap ee_memory_fill(struct ee_instance *in, const uint64_t *operands);
enum ee_trap ee_memory_init(struct ee_instance *in, const uint64_t *operands, uint32_t segment);

/* table.c */
enum ee_trap ee_table_get(struct ee_instance *in, uint64_t *operands, uint32_t index);
enum ee_trap ee_table_set(struct ee_instance *in, const uint64_t *operands, uint32_t index);
uint32_t ee_table_grow(struct ee_instance *in, const uint64_t *operands, uint32_t index);
enum ee_trap ee_table_fill(struct ee_instance *in, const uint64_t *operands, uint32_t index);
enum ee_trap ee_table_copy(struct ee_instance *in, const uint64_t *operands, uint32_t to, uint32_t from);
enum ee_trap ee_table_init(struct ee_instance *in, const uint64_t *operands, uint32_t segment, uint32_t index);
EE_MUST_CHECK bool ee_table_reserve(struct ee_table_cell *table, uint32_t size);

/* constant.c: the constant expression in range, of valid code; its globals exist already. False: arena exhausted. */
EE_MUST_CHECK bool ee_constant(struct ee_instance *in, struct ee_range range, uint64_t value[2]);
/* The same for the expression at the reader; moves behind its `end`. */
struct ee_reader;
EE_MUST_CHECK bool ee_constant_item(struct ee_instance *in, struct ee_reader *r, uint64_t value[2]);

/* Charges a bulk operation on `units` bytes or elements; false if the fuel does not suffice. */
EE_MUST_CHECK bool ee_charge(struct ee_instance *in, uint64_t units);

/* call.c */
/* Calls a host function, or a function of another instance, for `in`: arguments at slots, then the results. */
enum ee_trap ee_call_outside(struct ee_instance *in, struct ee_func *function, uint64_t *slots);
/* Calls any function of this instance; slots as in ee_host_fn. Keeps the trap. */
enum ee_trap ee_invoke(struct ee_instance *in, struct ee_instance *caller, uint32_t index, const uint64_t *args,
                       uint64_t *results);

/* backtrace.c */
/* What a fault at this address means: OOB_MEMORY in the guard, else HOST. */
enum ee_trap ee_fault_trap(const struct ee_instance *in, uint64_t address);
/*
 * Records the calls that are open before they end, innermost first: interpreted ones from code and fp (NULL: none),
 * native ones from pc (0: none) and frame, then those that led to them, up to the host's call.
 */
void ee_trace(struct ee_instance *in, const uint8_t *code, uint8_t *fp, uint64_t pc, uint64_t frame);
/* Ends all calls of this instance, and those that led to it, with a trap; the stack they ran on has been left. */
void ee_unwind(struct ee_instance *in, enum ee_trap trap);

/* translate.c: makes function->code point to code. EE_TRAP_NONE, EE_TRAP_NO_MEMORY or EE_TRAP_STACK_EXHAUSTED. */
enum ee_trap ee_translate(struct ee_instance *in, struct ee_func *function);
/*
 * Where in the module the instruction at `code` came from, by translating the function again without writing. A fault
 * names only the (super)instruction; is_access finds the first access to memory in it.
 */
uint32_t ee_source_offset(struct ee_instance *in, struct ee_func *function, const uint8_t *code, bool is_access);

/* link.c */
EE_MUST_CHECK enum ee_status ee_link(struct ee_instance *in, const struct ee_config *config, struct ee_error *error);
