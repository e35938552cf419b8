/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One second stack inside a protection domain, so that a module's call can wait while the domain serves its events.
 *
 * Contract: one coroutine at a time, AArch64 only. enter() runs `function` on the stack until it suspends or returns;
 * resume() goes on behind the suspend. forget() drops a coroutine that a fault or a stop has cut off.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

void sb_coroutine_enter(void *stack, size_t size_bytes, void (*function)(void));
void sb_coroutine_suspend(void);
void sb_coroutine_resume(void);
bool sb_coroutine_suspended(void);
void sb_coroutine_forget(void);
