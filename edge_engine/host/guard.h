/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine on a hosted POSIX system: arenas with their guard, and SIGSEGV turned into a trap.
 *
 * Contract: arenas come from ee_guard_map; instances in them are entered through ee_guard_start and ee_guard_call
 * instead of ee_start and ee_call. A fault in some arena's guard while such a call runs in this thread ends that call
 * (the innermost one) with EE_TRAPPED after ee_fault; any other fault keeps its usual meaning. Calls nest: a host
 * function may call into the same or another instance. Threads are independent; an instance belongs to one at a time.
 *
 * Does NOT: turn other signals into traps, or protect from host functions that touch guards themselves.
 */
#pragma once

#include "../include/edge_engine.h"

/* size bytes (a multiple of 4 KiB), zeroed, followed by EE_GUARD_SIZE unmapped ones. NULL: errno says why. */
EE_MUST_CHECK void *ee_guard_map(size_t size);
/* arena as ee_guard_map gave it, or NULL. No call may be running in it. */
void ee_guard_unmap(void *arena, size_t size);

EE_MUST_CHECK enum ee_status ee_guard_start(struct ee_instance *instance, struct ee_error *error);
EE_MUST_CHECK enum ee_status ee_guard_call(struct ee_instance *instance, uint32_t index, const uint64_t *args,
                                           uint32_t arg_slots, uint64_t *results, uint32_t result_slots);

/*
 * Between ee_load and ee_guard_start: maps the module's native code, if it has some for this machine, and attaches it.
 * EE_OK without a section too; else as ee_native_attach, and the instance runs interpreted. A trap in native code ends
 * the innermost call like a fault. stack_bytes: of the thread's stack, for native calls.
 */
EE_MUST_CHECK enum ee_status ee_guard_native(struct ee_instance *instance, size_t stack_bytes, struct ee_error *error);
