/* SPDX-License-Identifier: Apache-2.0 */
/* sel4_bridge/engine/coroutine.h over the simulator's contexts. */
#include "coroutine.h"

#include "context.h"

static struct sim_context loop;      /* the event loop while the coroutine runs */
static struct sim_context coroutine; /* the coroutine while the event loop runs */
static bool suspended;
static void (*body)(void);

static void first(void)
{
    body();
    suspended = false;
    sim_context_switch(&coroutine, &loop); /* does not come back */
}

void sb_coroutine_enter(void *stack, size_t size_bytes, void (*function)(void))
{
    body = function;
    suspended = false;
    sim_context_make(&coroutine, stack, size_bytes, first);
    sim_context_switch(&loop, &coroutine);
}

void sb_coroutine_suspend(void)
{
    suspended = true;
    sim_context_switch(&coroutine, &loop);
}

void sb_coroutine_resume(void)
{
    suspended = false;
    sim_context_switch(&loop, &coroutine);
}

bool sb_coroutine_suspended(void)
{
    return suspended;
}

void sb_coroutine_forget(void)
{
    suspended = false;
}
