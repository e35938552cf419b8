/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much CPU each slot had. Microkit 2.0.1 gives a domain no scheduling context to ask, so it is worked out:
 *
 *   active = time of the run that was neither paused by its budget nor waiting in a call (the wasi domain's clock)
 *   cpu    = active, less what other slots that were active in the same stretch of time had of it
 *
 * A stretch lies between two looks; in it phases do not change, so who goes before whom is known. The CPU is given out
 * from the highest phase down; among equals each gets in proportion to how long it was active.
 *
 * How exact: active is exact to a tick, and an upper bound of the CPU time. cpu is right for modules that compute
 * throughout, up to the time of the supervisor, wasi, uart and timer domains, which counts as the slots' own; for
 * modules that often wait, at the same time as another computes, it lies between the true value and active.
 */
#include "supervisor.h"

static uint64_t waited_ns(const struct sb_slot *slot, uint64_t now_ns)
{
    const volatile struct sb_log *log = slot->drain.log;
    uint64_t since = log->waiting_since_ns;
    return log->waited_ns + (since != 0 && since < now_ns ? now_ns - since : 0);
}

void sb_meter(struct sb_supervisor *s)
{
    uint64_t now_ns = sb_monotonic_ns(s);
    uint64_t stretch_ns = now_ns - s->metered_ns;
    uint64_t active_ns[SB_SLOTS] = {0};
    s->metered_ns = now_ns;
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        struct sb_limits *limits = &s->slots[i].limits;
        uint64_t total_ns = waited_ns(&s->slots[i], now_ns);
        uint64_t idle_ns = total_ns - limits->waited_ns;
        limits->waited_ns = total_ns;
        if (limits->phase == SB_PHASE_NONE) {
            continue;
        }
        limits->run_ns += stretch_ns;
        if (limits->phase != SB_PHASE_PAUSED && idle_ns < stretch_ns) {
            active_ns[i] = stretch_ns - idle_ns;
            limits->active_ns += active_ns[i];
        }
    }
    uint64_t left_ns = stretch_ns;
    for (enum sb_phase phase = SB_PHASE_ASSURED; phase > SB_PHASE_PAUSED; phase--) {
        uint64_t sum_ns = 0;
        for (unsigned i = 0; i < SB_SLOTS; i++) {
            sum_ns += s->slots[i].limits.phase == phase ? active_ns[i] : 0;
        }
        uint64_t given_ns = sum_ns < left_ns ? sum_ns : left_ns;
        for (unsigned i = 0; i < SB_SLOTS && sum_ns > 0; i++) {
            if (s->slots[i].limits.phase == phase) {
                /* to a thousandth; a stretch below 200 days does not overflow */
                s->slots[i].limits.cpu_ns += active_ns[i] * (given_ns * 1000 / sum_ns) / 1000;
            }
        }
        left_ns -= given_ns;
    }
}
