/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends what takes too long: a run beyond its wall clock, and an engine that does not come back from handling its fault.
 *
 * Contract: wall clock is guest time since the run began, paused time included. What ended before is never ended again.
 */
#include "supervisor.h"

void sb_watchdog_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns)
{
    struct sb_slot *slot = &s->slots[number];
    if (slot->state != SB_SLOT_RUNNING) {
        return;
    }
    if (slot->handling_fault && now_ns >= slot->fault_deadline_ns) {
        sb_engine_give_up(s, number, "engine fault: the engine did not come back from a fault");
        return;
    }
    if (now_ns >= slot->limits.deadline_ns) {
        sb_drain_logs(s);
        slot->control->command = SB_COMMAND_IDLE;
        slot->state = SB_SLOT_STOPPED;
        slot->reason = "watchdog";
        slot->limits.timeouts++;
        sb_limits_end(s, number, true);
        (void)sb_trial_run_ended(s, number);
    }
}
