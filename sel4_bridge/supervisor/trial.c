/* SPDX-License-Identifier: Apache-2.0 */
/* See trial.h. */
#include "trial.h"

#include "keep.h"

#define NS_PER_S UINT64_C(1000000000)

const char *sb_revert_text(enum sb_revert why)
{
    static const char *const texts[SB_REVERTS] = {
        [SB_REVERT_NONE] = "",
        [SB_REVERT_FAILURES] = "three starts in a row failed",
        [SB_REVERT_EXIT] = "health probe: it ended with another exit code",
        [SB_REVERT_ENDED] = "health probe: it ended too early",
        [SB_REVERT_TIME] = "health probe: its time was over",
        [SB_REVERT_NOT_CONFIRMED] = "it was not confirmed before the next start",
        [SB_REVERT_ASKED] = "a rollback was asked for",
    };
    return (unsigned)why < SB_REVERTS ? texts[why] : "";
}

void sb_trial_cancel(struct sb_slot *slot)
{
    slot->trial = (struct sb_trial){.deadline_ns = SB_NEVER};
    slot->drain.watch = (struct sb_line_watch){0};
}

void sb_trial_begin(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    const struct sb_manifest *manifest = &slot->active.credentials.manifest;
    sb_trial_cancel(slot);
    if (slot->active.confirmed || !slot->active.credentials.is_signed || manifest->health == SB_HEALTH_NONE) {
        return;
    }
    uint64_t seconds = manifest->health_timeout_s != 0 ? manifest->health_timeout_s : SB_TRIAL_DEFAULT_S;
    if (manifest->health == SB_HEALTH_ALIVE) {
        seconds = manifest->health_value;
    } else if (manifest->health == SB_HEALTH_LINE) {
        sb_log_watch(&slot->drain, slot->module + slot->active.offset + manifest->health_line.offset,
                     manifest->health_line.size);
    }
    slot->trial.on = true;
    slot->trial.deadline_ns = sb_monotonic_ns(s) + seconds * NS_PER_S;
}

/* The way back stays open to a `rollback`, as it does until somebody confirms the module by name. */
static void passed(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    sb_trial_cancel(slot);
    slot->active.confirmed = true;
    slot->active.failures = 0;
    sb_keep_save(s, number);
    sb_limits_arm(s);
}

static bool failed(struct sb_supervisor *s, unsigned number, enum sb_revert why)
{
    enum sb_refusal refusal;
    sb_trial_cancel(&s->slots[number]);
    return sb_keep_rollback(s, number, why, &refusal) == SB_LAUNCH_OK;
}

void sb_trial_look(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    if (slot->trial.on && slot->drain.watch.seen) {
        passed(s, number);
    }
}

bool sb_trial_run_ended(struct sb_supervisor *s, unsigned number)
{
    struct sb_slot *slot = &s->slots[number];
    const struct sb_manifest *manifest = &slot->active.credentials.manifest;
    if (!slot->trial.on) {
        return false;
    }
    sb_drain_logs(s); /* its last line may be the one */
    if (!slot->trial.on) {
        return false;
    }
    bool by_exit = slot->state == SB_SLOT_EXITED && manifest->health == SB_HEALTH_EXIT;
    if (by_exit && slot->exit_code == manifest->health_value) {
        passed(s, number);
        return false;
    }
    return failed(s, number, by_exit ? SB_REVERT_EXIT : SB_REVERT_ENDED);
}

void sb_trial_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns)
{
    const struct sb_slot *slot = &s->slots[number];
    sb_trial_look(s, number); /* its line may lie in the history already */
    if (!slot->trial.on || now_ns < slot->trial.deadline_ns) {
        return;
    }
    if (slot->active.credentials.manifest.health == SB_HEALTH_ALIVE) {
        passed(s, number);
    } else {
        (void)failed(s, number, SB_REVERT_TIME);
    }
}
