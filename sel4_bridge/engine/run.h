/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of one module from its bytes to its outcome, the same on host and device.
 *
 * Contract: sb_run loads, starts and calls _start, and fills the outcome. `run->instance` is set as soon as there is
 * one: if the run ends in a fault instead of a return, the caller leaves the stack and calls sb_run_fault.
 * The engine's arena, module and bridge belong to the caller and outlive the run.
 */
#pragma once

#include <edge_engine.h>

#include "imports.h"
#include "sb_control.h"

struct sb_run {
    /* filled in by the caller */
    const uint8_t *module;
    size_t module_size; /* bytes */
    void *arena;
    size_t arena_size; /* bytes */
    size_t stack_size; /* bytes, 0: the engine's default */
    bool metered;
    uint64_t fuel;
    struct sb_bridge *bridge;
    /* ee_start and ee_call, or what a host wraps around them to survive a fault */
    enum ee_status (*start)(struct ee_instance *instance, struct ee_error *error);
    enum ee_status (*call)(struct ee_instance *instance, uint32_t index, const uint64_t *args, uint32_t arg_slots,
                           uint64_t *results, uint32_t result_slots);

    /* the outcome */
    struct ee_instance *volatile instance;
    enum sb_engine_state state;
    uint32_t exit_code;
    enum ee_trap trap;
    struct ee_usage usage;
    enum sb_tier tier;
    char tier_text[SB_TIER_TEXT_SIZE]; /* why native code is not used, or empty */
    char text[SB_TEXT_SIZE];
    char backtrace[SB_BACKTRACE_SIZE];

    struct sb_imports imports;
};

void sb_run(struct sb_run *run);

/* The run faulted at `address` (regs: the argument registers there, or NULL). Fills the outcome: a trap. */
void sb_run_fault(struct sb_run *run, uint64_t address, const uint64_t regs[8]);

/*
 * Native code of the run stopped at pc: as ee_native_fault. A fault at an address where the module has nothing to look
 * for is named with the address.
 */
void sb_run_native_fault(struct sb_run *run, uint64_t pc, uint64_t frame, enum ee_trap trap, uint64_t address);

/* Between load and start: run the module's native code from `code`, where a copy of `size` bytes lies; 0: there is none. */
void sb_run_attach(struct sb_run *run, struct ee_instance *instance, const void *code, size_t size, size_t stack_bytes);

/* The run ended in a fault that isn't the module's: a trap with that text. */
void sb_run_broken(struct sb_run *run, const char *what, uint64_t where);
