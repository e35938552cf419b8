/* SPDX-License-Identifier: Apache-2.0 */
/* State that all of the supervisor shares: start-up, warm reset, time, output. See supervisor.h. */
#include "supervisor.h"

#include <string.h>

#include "keep.h"

#define NS_PER_S 1000000000u

uint64_t sb_monotonic_ns(const struct sb_supervisor *s)
{
    uint64_t ticks = s->platform.ticks();
    uint64_t hz = s->platform.tick_hz;
    return ticks / hz * NS_PER_S + ticks % hz * NS_PER_S / hz; /* hz < 2^34: no overflow */
}

void sb_supervisor_init(struct sb_supervisor *s, const struct sb_platform *platform, struct sb_system *system,
                        const struct sb_slot_regions regions[SB_SLOTS], uint64_t rtc_seconds)
{
    s->platform = *platform;
    s->system = system;
    (void)sb_trust_load(&s->trust, &platform->anchors); /* a document that is broken leaves nobody trusted */
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        struct sb_slot *slot = &s->slots[i];
        slot->module = regions[i].module;
        slot->control = regions[i].control;
        slot->launch = regions[i].launch;
        slot->code = regions[i].code;
        slot->drain.log = regions[i].log;
        sb_mailbox_init(&slot->mail, regions[i].mail);
        slot->limits.phase_end_ns = slot->limits.deadline_ns = slot->limits.restart_at_ns = SB_NEVER;
        slot->trial.deadline_ns = SB_NEVER;
        const struct sb_slot_class *class = &sb_slot_classes[i];
        slot->admission = (struct sb_admission){.slot_class = class->name,
                                                .arena_size = SB_ARENA_SIZE,
                                                .budget_us = class->budget_us,
                                                .period_us = class->period_us};
    }
    uint64_t now = sb_monotonic_ns(s);
    s->armed_ns = SB_NEVER;
    s->metered_ns = now;
    __atomic_store_n(&system->realtime_offset_ns, rtc_seconds * NS_PER_S - now, __ATOMIC_RELEASE);
    sb_keep_restore(s);
    s->ready_ms = sb_monotonic_ns(s) / 1000000u;
}

void sb_supervisor_reset(struct sb_supervisor *s)
{
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        struct sb_slot *slot = &s->slots[i];
        sb_slot_stop(s, i);
        sb_limits_cancel(s, i);
        sb_slot_note_confirmed(slot);
        slot->reverted = SB_REVERT_NONE;
        slot->active = (struct sb_image){0};
        slot->candidate = (struct sb_image){0};
        slot->upload = (struct sb_upload){0};
        slot->state = SB_SLOT_EMPTY;
        slot->text[0] = 0;
        slot->backtrace[0] = 0;
        slot->memory_bytes = 0;
        slot->bookkeeping_bytes = 0;
        slot->calls = 0;
        slot->tier = SB_TIER_UNKNOWN;
    }
    s->upload_image = 0;
    s->reset_wanted = false;
    sb_keep_restore(s);
    s->ready_ms = sb_monotonic_ns(s) / 1000000u;
}

void sb_move_logs(struct sb_supervisor *s)
{
    bool notify = false;
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        notify |= sb_log_drain(&s->slots[i].drain, &s->slots[i].history);
    }
    if (notify) {
        s->platform.wasi_notify();
    }
}

void sb_drain_logs(struct sb_supervisor *s)
{
    sb_move_logs(s);
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        sb_trial_look(s, i);
    }
}

void sb_supervisor_poll(struct sb_supervisor *s)
{
    sb_drain_logs(s);
    for (unsigned i = 0; i < SB_SLOTS; i++) {
        sb_engine_notified(s, i);
    }
}
