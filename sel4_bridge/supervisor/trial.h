/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trial of a new module: its manifest's health probe confirms it by itself, or has the slot go back.
 *
 * Contract: a trial runs while a signed module that has a probe and was started for a test is neither confirmed nor
 * ended. Three kinds of probe: it ends with an exit code, it writes a line to standard output, it runs for so long. One
 * that does not do so in time, or ends otherwise before, has failed: its confirmed former module is started again at
 * once. Power that goes, `stop` and a start end a trial without a decision: the next start goes back.
 *
 * Does NOT: apply to modules without a probe (whoever marked them for a test confirms them), or to a slot's first module.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SB_TRIAL_DEFAULT_S 60u /* for `exit` and `line` whose manifest names no time */

/* Why a slot went back; values are on flash. */
enum sb_revert {
    SB_REVERT_NONE = 0,
    SB_REVERT_FAILURES = 1,  /* three starts in a row trapped or were refused */
    SB_REVERT_EXIT = 2,      /* another exit code than the probe's */
    SB_REVERT_ENDED = 3,     /* it ended before it had shown what the probe asks for */
    SB_REVERT_TIME = 4,      /* it did not show it in time */
    SB_REVERT_NOT_CONFIRMED = 5, /* it was started again, or power went, before anybody had confirmed it */
    SB_REVERT_ASKED = 6,     /* `rollback` */
    SB_REVERTS,
};
const char *sb_revert_text(enum sb_revert why);

struct sb_trial {
    bool on;
    uint64_t deadline_ns; /* alive: it has passed; otherwise: it has failed. SB_NEVER while off */
};

struct sb_supervisor;
struct sb_slot;

/* A run is about to begin. */
void sb_trial_begin(struct sb_supervisor *s, unsigned number);
void sb_trial_cancel(struct sb_slot *slot);

/* Its output may have come. */
void sb_trial_look(struct sb_supervisor *s, unsigned number);

/* Its run has ended. True: the slot went back and runs its former module. */
bool sb_trial_run_ended(struct sb_supervisor *s, unsigned slot);

void sb_trial_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns);
