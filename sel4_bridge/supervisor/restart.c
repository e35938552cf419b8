/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a module again that failed, if its start asked for that: after a trap, an exit code other than 0, or the
 * watchdog. Not after a refusal, which would come again, and not after a stop that somebody asked for.
 *
 * The wait before the n-th start in a row is 100 ms doubled n times, at most 25.6 s; a run of a minute sets n back.
 */
#include "supervisor.h"

#define NS_PER_MS UINT64_C(1000000)
#define FIRST_WAIT_NS (100 * NS_PER_MS)
#define GOOD_RUN_NS (60000 * NS_PER_MS)

enum { MOST_DOUBLINGS = 8 };

void sb_restart_cancel(struct sb_slot *slot)
{
    slot->limits.restart_at_ns = SB_NEVER;
    slot->limits.failures = 0;
}

void sb_restart_after(struct sb_slot *slot, bool failed, uint64_t now_ns)
{
    struct sb_limits *limits = &slot->limits;
    if (!failed || !limits->restart_on_failure) {
        sb_restart_cancel(slot);
        return;
    }
    if (now_ns - limits->run_started_ns >= GOOD_RUN_NS) {
        limits->failures = 0;
    }
    uint32_t doublings = limits->failures < MOST_DOUBLINGS ? limits->failures : MOST_DOUBLINGS;
    limits->failures++;
    limits->restart_at_ns = now_ns + (FIRST_WAIT_NS << doublings);
}

void sb_restart_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns)
{
    struct sb_slot *slot = &s->slots[number];
    if (slot->state != SB_SLOT_RUNNING && now_ns >= slot->limits.restart_at_ns) {
        slot->limits.restart_at_ns = SB_NEVER;
        slot->limits.retries += sb_slot_start_again(s, number);
    }
}
