/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page between the supervisor and one engine slot (region control<slot>, mapped rw in both).
 *
 * Contract: the supervisor writes the first half before it restarts the engine and reads the second half after the
 * engine's notification; the engine does the opposite. The engine may be hostile: the supervisor copies a field, then
 * checks it, then uses it, and terminates every text itself.
 */
#pragma once

#include <stdint.h>

enum sb_command {
    SB_COMMAND_IDLE = 0, /* nothing to do: wait for events */
    SB_COMMAND_RUN,      /* load and run the module described below */
    SB_COMMAND_FAULT,    /* the last run faulted as described below: record the trap, say so, run nothing */
};

enum sb_engine_state {
    SB_ENGINE_IDLE = 0,
    SB_ENGINE_RUNNING,
    SB_ENGINE_EXITED,  /* exit_code is valid; returning from _start is exit code 0 */
    SB_ENGINE_TRAPPED, /* trap, text (its name) and backtrace are valid */
    SB_ENGINE_REFUSED, /* malformed, invalid, unsupported, unlinkable or too big: text says why and where */
};

enum sb_tier {
    SB_TIER_UNKNOWN = 0, /* the run has not got that far */
    SB_TIER_INTERPRETER,
    SB_TIER_NATIVE, /* all functions that the module has native code of */
};

#define SB_TIER_TEXT_SIZE 96u   /* bytes with the NUL */
#define SB_TEXT_SIZE 256u       /* bytes with the NUL */
#define SB_BACKTRACE_SIZE 2048u /* bytes with the NUL */

struct sb_control {
    /* written by the supervisor */
    uint32_t generation;     /* counts starts; the same number is in sb_launch */
    uint32_t command;        /* enum sb_command */
    uint64_t module_offset;  /* bytes from the start of the module region */
    uint64_t module_size;    /* bytes */
    uint64_t stack_size;     /* bytes of wasm call frames, 0: the engine's default */
    uint64_t fuel;           /* instructions, valid if metered */
    uint32_t metered;        /* 0 or 1 */
    uint32_t fault_label;    /* seL4 fault label (1 cap, 2 unknown syscall, 3 user exception, 6 VM fault ...) */
    uint64_t fault_pc;
    uint64_t fault_address;
    uint64_t fault_regs[8];  /* x0..x7 at the fault, zero where unknown */
    uint64_t fault_frame;    /* x29 at the fault */
    uint64_t code_size;      /* bytes of the module's native code in the code region, 0: none */
    uint64_t arena_size;     /* bytes at the arena's end that the module may use, 0: all of it */

    /* written by the engine */
    uint32_t state __attribute__((aligned(64))); /* enum sb_engine_state; written last */
    uint32_t done_generation; /* generation that the state belongs to */
    uint32_t exit_code;
    uint32_t trap;            /* enum ee_trap */
    uint32_t tier;            /* enum sb_tier */
    uint64_t memory_bytes;    /* linear memory */
    uint64_t bookkeeping_bytes; /* arena high water without linear memory */
    uint64_t calls;           /* WASI calls made */
    uint64_t first_ticks;     /* the counter before the module's first instruction, 0: not yet */
    char tier_text[SB_TIER_TEXT_SIZE]; /* why native code that is there is not used; valid with tier */
    char text[SB_TEXT_SIZE];
    char backtrace[SB_BACKTRACE_SIZE];
};
_Static_assert(sizeof(struct sb_control) <= 4096, "one page");
