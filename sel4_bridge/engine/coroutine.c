/* SPDX-License-Identifier: Apache-2.0 */
/* See coroutine.h. What a switch keeps: Procedure Call Standard for the Arm 64-bit Architecture, section 6.1. */
#include "coroutine.h"

#include <stdint.h>
#include <string.h>

enum { FRAME_WORDS = 20, FRAME_LINK = 11 }; /* x19..x28, x29, x30, d8..d15, as switch.S stores them */

/* Saves the callee-saved registers on this stack, its pointer in *from; goes on with the other stack. */
void sb_switch(uintptr_t *from, uintptr_t to);

static uintptr_t loop_stack;      /* of the event loop while the coroutine runs */
static uintptr_t coroutine_stack; /* of the coroutine while the event loop runs */
static bool suspended;
static void (*body)(void);

static void first(void)
{
    body();
    suspended = false;
    sb_switch(&coroutine_stack, loop_stack); /* does not come back */
}

void sb_coroutine_enter(void *stack, size_t size_bytes, void (*function)(void))
{
    uintptr_t top = ((uintptr_t)stack + size_bytes) & ~(uintptr_t)15;
    uint64_t *frame = (uint64_t *)top - FRAME_WORDS;
    memset(frame, 0, FRAME_WORDS * sizeof *frame);
    frame[FRAME_LINK] = (uint64_t)(uintptr_t)first;
    body = function;
    suspended = false;
    sb_switch(&loop_stack, (uintptr_t)frame);
}

void sb_coroutine_suspend(void)
{
    suspended = true;
    sb_switch(&coroutine_stack, loop_stack);
}

void sb_coroutine_resume(void)
{
    suspended = false;
    sb_switch(&loop_stack, coroutine_stack);
}

bool sb_coroutine_suspended(void)
{
    return suspended;
}

void sb_coroutine_forget(void)
{
    suspended = false;
}
