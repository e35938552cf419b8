/* SPDX-License-Identifier: Apache-2.0 */
/* One timer for the limits of all slots, and the slots' classes: see limits.h. */
#include "limits.h"

#include "supervisor.h"

#define NS_PER_S UINT64_C(1000000000)

#define X(name, priority, budget_us, period_us) {name, priority, budget_us, period_us},
const struct sb_slot_class sb_slot_classes[SB_SLOTS] = {SB_EACH_SLOT_CLASS(X)};
#undef X

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Rounded up: never early. */
static uint64_t ns_to_ticks(const struct sb_supervisor *s, uint64_t ns)
{
    uint64_t hz = s->platform.tick_hz;
    return ns / NS_PER_S * hz + (ns % NS_PER_S * hz + NS_PER_S - 1) / NS_PER_S;
}

void sb_limits_arm(struct sb_supervisor *s)
{
    uint64_t next_ns = SB_NEVER;
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        const struct sb_slot *slot = &s->slots[i];
        const struct sb_limits *limits = &slot->limits;
        next_ns = least(next_ns, limits->restart_at_ns);
        if (slot->state == SB_SLOT_RUNNING) {
            next_ns = least(next_ns, least(limits->phase_end_ns, limits->deadline_ns));
            next_ns = least(next_ns, slot->trial.deadline_ns);
            next_ns = slot->handling_fault ? least(next_ns, slot->fault_deadline_ns) : next_ns;
        }
    }
    if (next_ns != s->armed_ns) {
        s->armed_ns = next_ns;
        s->platform.wake_at(next_ns == SB_NEVER ? 0 : ns_to_ticks(s, next_ns));
    }
}

void sb_limits_remind(const struct sb_supervisor *s)
{
    s->platform.wake_at(s->armed_ns == SB_NEVER ? 0 : ns_to_ticks(s, s->armed_ns));
}

void sb_limits_tick(struct sb_supervisor *s)
{
    uint64_t now_ns = sb_monotonic_ns(s);
    s->armed_ns = SB_NEVER; /* the timer has forgotten it */
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        sb_engine_notified(s, i); /* what ended in time has ended in time */
        sb_watchdog_tick(s, i, now_ns);
        sb_trial_tick(s, i, now_ns);
        sb_restart_tick(s, i, now_ns);
        sb_throttle_tick(s, i, now_ns);
    }
    sb_limits_arm(s);
}

void sb_limits_begin(struct sb_supervisor *s, unsigned number)
{
    struct sb_limits *limits = &s->slots[number].limits;
    sb_meter(s);
    uint64_t now_ns = sb_monotonic_ns(s);
    limits->run_started_ns = now_ns;
    limits->restart_at_ns = SB_NEVER;
    limits->deadline_ns = limits->timeout_ns != 0 ? now_ns + limits->timeout_ns : SB_NEVER;
    sb_throttle_begin(s, number, now_ns);
    sb_limits_arm(s);
}

void sb_limits_cancel(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    sb_restart_cancel(slot);
    sb_trial_cancel(slot);
    if (slot->state != SB_SLOT_RUNNING) {
        slot->limits.deadline_ns = SB_NEVER;
        slot->handling_fault = false;
        sb_throttle_end(slot);
    }
    sb_limits_arm(s);
}

void sb_limits_end(struct sb_supervisor *s, unsigned number, bool failed)
{
    struct sb_slot *slot = &s->slots[number];
    sb_meter(s);
    s->platform.engine_stop(number); /* one that says it has ended and goes on is not believed */
    slot->handling_fault = false;
    __atomic_store_n(&slot->launch->ended, slot->generation, __ATOMIC_RELEASE);
    if (s->platform.run_ended != NULL) {
        s->platform.run_ended();
    }
    sb_throttle_end(slot);
    sb_restart_after(slot, failed, sb_monotonic_ns(s));
    sb_limits_arm(s);
}
