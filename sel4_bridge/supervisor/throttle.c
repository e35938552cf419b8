/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets below what a slot's class has: the engine is suspended and resumed against a period.
 *
 * Of each period (SB_THROTTLE_PERIOD_US) a run with a budget of p percent has
 *
 *   0          p/4 %        p %                     100 %
 *   | assured  | background | paused                |
 *
 * Assured: above the other slots, so a quarter of the budget is had whatever they do. Background: below those without
 * a budget, so the rest is only what they leave. Paused: suspended. So p percent is never exceeded, and what a slot can
 * lose to a neighbour with a budget of p is p/4 percent. A resumed engine goes on where it was; if that was inside a
 * call to the wasi domain, the kernel repeats the call and the wasi domain its answer (sb_message.h).
 *
 * Does NOT: count what the engine used. A module that sleeps through its budget gets no more later.
 */
#include "supervisor.h"

#define NS_PER_US UINT64_C(1000)
#define PERIOD_NS (SB_THROTTLE_PERIOD_US * NS_PER_US)

enum { PRIORITY_BELOW_ASSURED = 1, PRIORITY_BELOW_FREE = 2 };

static void enter(struct sb_supervisor *s, unsigned number, enum sb_phase phase, uint64_t end_ns)
{
    struct sb_limits *limits = &s->slots[number].limits;
    uint32_t highest = sb_slot_classes[number].priority;
    limits->phase = phase;
    limits->phase_end_ns = end_ns;
    switch (phase) {
    case SB_PHASE_ASSURED:
        s->platform.engine_priority(number, highest);
        break;
    case SB_PHASE_FREE:
        s->platform.engine_priority(number, highest - PRIORITY_BELOW_ASSURED);
        break;
    case SB_PHASE_BACKGROUND:
        s->platform.engine_priority(number, highest - PRIORITY_BELOW_FREE);
        break;
    case SB_PHASE_PAUSED:
        s->platform.engine_stop(number);
        break;
    case SB_PHASE_NONE:
        break;
    }
}

static void begin_period(struct sb_supervisor *s, unsigned number, uint64_t start_ns)
{
    struct sb_limits *limits = &s->slots[number].limits;
    limits->period_start_ns = start_ns;
    enter(s, number, SB_PHASE_ASSURED, start_ns + PERIOD_NS * limits->percent / 400u);
}

void sb_throttle_begin(struct sb_supervisor *s, unsigned number, uint64_t now_ns)
{
    const struct sb_slot_class *class = &sb_slot_classes[number];
    if ((uint64_t)s->slots[number].limits.percent * class->period_us >= UINT64_C(100) * class->budget_us) {
        enter(s, number, SB_PHASE_FREE, SB_NEVER); /* the kernel's own budget is enough */
    } else {
        begin_period(s, number, now_ns);
    }
}

void sb_throttle_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns)
{
    struct sb_slot *slot = &s->slots[number];
    struct sb_limits *limits = &slot->limits;
    if (slot->state != SB_SLOT_RUNNING || now_ns < limits->phase_end_ns) {
        return;
    }
    sb_meter(s);
    uint64_t end_ns = limits->period_start_ns + PERIOD_NS;
    uint64_t pause_ns = limits->period_start_ns + PERIOD_NS * limits->percent / 100u;
    switch (limits->phase) {
    case SB_PHASE_ASSURED:
        if (now_ns < pause_ns) {
            enter(s, number, SB_PHASE_BACKGROUND, pause_ns);
            break;
        }
        /* late: the budget is used up already */
        __attribute__((fallthrough));
    case SB_PHASE_BACKGROUND:
        /* What it had too much, because we came late, makes the pause longer by as much as the budget demands. */
        enter(s, number, SB_PHASE_PAUSED, end_ns + (now_ns - pause_ns) * 100u / limits->percent);
        break;
    case SB_PHASE_PAUSED:
        begin_period(s, number, now_ns);
        s->platform.engine_resume(number);
        break;
    case SB_PHASE_NONE:
    case SB_PHASE_FREE:
        break;
    }
}

void sb_throttle_end(struct sb_slot *slot)
{
    slot->limits.phase = SB_PHASE_NONE;
    slot->limits.phase_end_ns = SB_NEVER;
}
