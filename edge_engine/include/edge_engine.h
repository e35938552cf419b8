/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_engine: a WebAssembly engine in one fixed arena.
 *
 * Contract: the caller owns the arena and the module's bytes; both stay alive and the bytes stay unchanged until the
 * instance is forgotten. Nothing here allocates, blocks or calls an operating system. One thread per instance.
 *
 *   arena:  [bookkeeping, grows up ........ free ........ linear memory, grows down]  then EE_GUARD_SIZE unmapped bytes
 *
 * Linear memory ends exactly at the arena's end, so base + u32 index + u32 offset is either inside or faults. Whoever
 * owns the address space (kernel, signal handler) turns that fault into ee_fault(). A build with EE_EXPLICIT_CHECKS
 * compares instead and needs no guard.
 *
 * Does NOT: know WASI, seL4, files or time. Source: WebAssembly Core Specification 2.0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EE_MUST_CHECK __attribute__((warn_unused_result))

/* Unmapped bytes that must follow the arena: 2^32 index + 2^32 offset + the widest access, rounded to a page. */
#define EE_GUARD_SIZE ((uint64_t)8 * 1024 * 1024 * 1024 + 4096)
#define EE_PAGE_SIZE 65536u /* bytes of a WebAssembly page, unless the memory's type says 1 (custom-page-sizes) */
#define EE_NO_INDEX UINT32_MAX

/* What went wrong before execution; a trap is enum ee_trap. */
enum ee_status {
    EE_OK = 0,
    EE_MALFORMED,   /* the bytes are not a module (core spec, chapter 5) */
    EE_INVALID,     /* a module that does not validate (chapter 3) */
    EE_UNSUPPORTED, /* valid somewhere, but not in this engine; the text names it */
    EE_UNLINKABLE,  /* an import nobody provides, or of another type */
    EE_NO_MEMORY,   /* the arena is too small; the text says how many bytes are needed where that is known */
    EE_TRAPPED,     /* instantiation or a call ended in a trap: see ee_instance_trap() */
    EE_MISUSE,      /* the caller's mistake: no such export, wrong argument count */
};

/* One row per trap: name and the text that people see (as in the specification's own test scripts). */
#define EE_TRAPS(X)                                              \
    X(NONE, "none")                                              \
    X(UNREACHABLE, "unreachable")                                \
    X(OOB_MEMORY, "out of bounds memory access")                 \
    X(OOB_TABLE, "out of bounds table access")                   \
    X(UNDEFINED_ELEMENT, "undefined element")                    \
    X(UNINITIALIZED_ELEMENT, "uninitialized element")            \
    X(INDIRECT_TYPE, "indirect call type mismatch")              \
    X(DIV_BY_ZERO, "integer divide by zero")                     \
    X(INT_OVERFLOW, "integer overflow")                          \
    X(INVALID_CONVERSION, "invalid conversion to integer")       \
    X(STACK_EXHAUSTED, "call stack exhausted")                   \
    X(NO_MEMORY, "arena exhausted")                              \
    X(FUEL_EXHAUSTED, "fuel exhausted")                          \
    X(INTERRUPTED, "interrupted")                                \
    X(EXIT, "exit")                                              \
    X(HOST, "host error")

enum ee_trap {
#define EE_X(name, text) EE_TRAP_##name,
    EE_TRAPS(EE_X)
#undef EE_X
};

/* Names as in the binary format (core spec 5.3). */
enum ee_valtype {
    EE_I32 = 0x7f,
    EE_I64 = 0x7e,
    EE_F32 = 0x7d,
    EE_F64 = 0x7c,
    EE_V128 = 0x7b,
    EE_FUNCREF = 0x70,
    EE_EXTERNREF = 0x6f,
};

enum ee_extern_kind { EE_EXTERN_FUNC, EE_EXTERN_TABLE, EE_EXTERN_MEMORY, EE_EXTERN_GLOBAL };

struct ee_error {
    enum ee_status status;
    uint32_t offset;   /* bytes from the module's start, or EE_NO_INDEX */
    uint32_t function; /* index in the function index space, or EE_NO_INDEX */
    char text[192];    /* NUL-terminated, one line, no trailing full stop */
};

/* A name as it lies in the module: UTF-8, not NUL-terminated. */
struct ee_name {
    const char *bytes;
    uint32_t size;
};

struct ee_instance; /* everything lives in its arena */

/*
 * A host function: args holds param slots, results result slots, 8 bytes each (v128 takes two), little endian;
 * i32 in the low 4 bytes, references as opaque 64-bit values (0 is null). May switch stacks and come back later.
 * Returns EE_TRAP_NONE, or the trap that ends the call (EE_TRAP_EXIT for proc_exit).
 */
typedef enum ee_trap (*ee_host_fn)(struct ee_instance *instance, void *context, const uint64_t *args, uint64_t *results);

/* A value of the outside given for an import. Exactly the member that belongs to kind is read. */
struct ee_import {
    ee_host_fn function; /* EE_EXTERN_FUNC by the host, or NULL and instance/index below */
    void *context;       /* passed to function */
    struct ee_instance *instance; /* another instance that exports the thing ... */
    uint32_t index;               /* ... under this index of its index space of that kind */
};

/* What is asked for. For functions, params/results are valtype bytes as they lie in the module. */
struct ee_import_request {
    struct ee_name module, field;
    enum ee_extern_kind kind;
    const uint8_t *params, *results; /* functions only */
    uint32_t param_count, result_count;
};

/* Returns true and fills *import, or false: no such import, and the module is refused by name. */
typedef bool (*ee_resolver)(void *context, const struct ee_import_request *request, struct ee_import *import);

struct ee_config {
    void *arena;        /* page-aligned (4 KiB) */
    size_t arena_size;  /* bytes, multiple of 4 KiB; EE_GUARD_SIZE unmapped bytes follow (unless EE_EXPLICIT_CHECKS) */
    size_t stack_size;  /* bytes of the arena for wasm call frames; 0: see EE_STACK_SHARE */
    uint32_t max_pages; /* ceiling for linear memory, in units of EE_PAGE_SIZE; 0: whatever fits */
    bool metered;       /* translate with fuel checks; without, fuel is ignored and costs nothing */
    uint64_t fuel;      /* instructions a metered instance may execute before EE_TRAP_FUEL_EXHAUSTED */
    ee_resolver resolver;
    void *resolver_context;
};

/*
 * Call frames get, unless the configuration says how much, this part of what memory and tables leave of the arena, but at
 * least and at most so many bytes. The rest is for translated code: a tight arena is better used for that.
 */
#define EE_STACK_SHARE 16u
#define EE_LEAST_STACK_SIZE ((size_t)4 * 1024)
#define EE_MOST_STACK_SIZE ((size_t)64 * 1024)

/*
 * Decodes and validates the whole module, links it, places its memory and segments. Does not run the start function.
 * On success *instance points into the arena. On failure *error says where and why. size <= UINT32_MAX - 1.
 */
EE_MUST_CHECK enum ee_status ee_load(const uint8_t *bytes, size_t size, const struct ee_config *config,
                                     struct ee_instance **instance, struct ee_error *error);

/* Active segments and the start function (core spec 4.5.4). EE_OK or EE_TRAPPED. Call once, before any ee_call. */
EE_MUST_CHECK enum ee_status ee_start(struct ee_instance *instance, struct ee_error *error);

/* Index of an exported thing of that kind, or EE_NO_INDEX. name need not be NUL-terminated. */
uint32_t ee_export(const struct ee_instance *instance, enum ee_extern_kind kind, const char *name, size_t name_size);

/* Calls function `index`; slots as in ee_host_fn. EE_OK, EE_TRAPPED (trap and backtrace are kept), EE_MISUSE. */
EE_MUST_CHECK enum ee_status ee_call(struct ee_instance *instance, uint32_t index, const uint64_t *args,
                                     uint32_t arg_slots, uint64_t *results, uint32_t result_slots);

/* Linear memory 0. Stays valid until the next memory.grow. A module without memory: NULL and 0. */
uint8_t *ee_memory(const struct ee_instance *instance, uint64_t *size_bytes);

/*
 * A bounds-checked window for host functions: NULL if [address, address + size) is not wholly inside memory 0.
 * 64-bit arithmetic; size 0 at the very end is inside.
 */
void *ee_memory_at(const struct ee_instance *instance, uint64_t address, uint64_t size);

enum ee_trap ee_instance_trap(const struct ee_instance *instance);
const char *ee_trap_text(enum ee_trap trap);
const char *ee_status_text(enum ee_status status);

/*
 * The call stack at the trap, innermost first, one frame a line: "  #0 name (function 12 +0x1a2b)\n", where +0x is the
 * byte offset in the module. Writes at most size bytes with the NUL, returns the length.
 */
size_t ee_backtrace(const struct ee_instance *instance, char *out, size_t size);

/*
 * The address space says that this instance's execution faulted at `address`. Records the trap (OOB_MEMORY inside the
 * guard, STACK_EXHAUSTED for the native stack's own hole if told so) so that ee_instance_trap and ee_backtrace work;
 * the caller has already left the faulting stack. regs: the machine's argument registers at the fault (x0.. or
 * rdi, rsi, rdx, rcx, r8, r9), for the innermost offset; NULL if unknown.
 */
void ee_fault(struct ee_instance *instance, uint64_t address, const uint64_t regs[8]);

void ee_set_fuel(struct ee_instance *instance, uint64_t fuel);
uint64_t ee_fuel(const struct ee_instance *instance); /* left */

struct ee_usage {
    uint64_t bookkeeping_bytes; /* from the bottom, high-water mark, without linear memory */
    uint64_t memory_bytes;      /* linear memory now */
    uint64_t code_bytes;        /* translated code, part of bookkeeping */
    uint64_t stack_bytes;       /* call frames reserved, part of bookkeeping */
};
void ee_instance_usage(const struct ee_instance *instance, struct ee_usage *usage);

/*
 * Native code (docs/native.md). ee_native_section looks for the section of this machine in the module's bytes: its code
 * and the code's size, or false. Whoever owns the address space puts a copy of the code at a 4 KiB boundary where it may
 * be executed and not written, and hands it over between ee_load and ee_start: ee_native_attach. Functions that the
 * section leaves out stay interpreted. stack_bytes: how much of the machine's stack native calls may use.
 * EE_UNSUPPORTED: made for another engine or machine, or without fuel for a metered instance; EE_MALFORMED: its bounds
 * are wrong. The instance works without it in both cases. Contents of code are the caller's to trust.
 */
EE_MUST_CHECK bool ee_native_section(const struct ee_instance *instance, const uint8_t **code, size_t *size);
EE_MUST_CHECK enum ee_status ee_native_attach(struct ee_instance *instance, const void *code, size_t stack_bytes,
                                              struct ee_error *error);

/*
 * Native code of this instance stopped at pc: by an undefined instruction (trap: what it carries) or by a fault at
 * `address` (trap EE_TRAP_NONE). As ee_fault, but before anything else runs on the stack that it left; frame: the frame
 * pointer's register (rbp, x29).
 */
void ee_native_fault(struct ee_instance *instance, uint64_t pc, uint64_t frame, enum ee_trap trap, uint64_t address);
/* The trap that the undefined instruction at pc carries, or EE_TRAP_NONE. Reads 5 (x86-64) or 4 bytes. */
enum ee_trap ee_native_trap_at(const struct ee_instance *instance, const void *pc);
