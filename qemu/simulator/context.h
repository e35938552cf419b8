/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks and switches between them, for protection domains and for the coroutine inside an engine.
 *
 * Contract: sim_context_make prepares a context that begins with function() on the given stack; function must not
 * return. sim_context_switch saves the running context in *from and goes on with *to; it comes back when somebody
 * switches to *from. A context that is never switched to again is simply forgotten. One thread; signal masks are not
 * switched. The sanitizers are told of every switch.
 */
#pragma once

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

struct sim_context {
    uintptr_t stack_pointer;
    const void *bottom; /* lowest address of the stack */
    size_t size;        /* bytes */
    void (*function)(void);
    void *fake_stack; /* AddressSanitizer's */
};

extern volatile sig_atomic_t sim_switching; /* a signal's handler must not switch */

void sim_context_make(struct sim_context *context, void *stack, size_t size, void (*function)(void));
void sim_context_switch(struct sim_context *from, const struct sim_context *to);
