/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bounds one run of a slot's module in time: CPU budget (throttle.c), wall clock (watchdog.c), what happens after a
 * failure (restart.c); and how much CPU it had (meter.c). limits.c keeps the one timer for all of it.
 *
 * Contract: every function is called from the supervisor's event loop; nothing waits. Times are ns of sb_monotonic_ns.
 * All of it is done from outside the engine: a hostile one has no say.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SB_NEVER UINT64_MAX

/* A slot's class: sel4_bridge/system.py. */
struct sb_slot_class {
    const char *name;
    uint32_t priority;  /* the highest of its engine */
    uint32_t budget_us; /* of period_us, enforced by the kernel */
    uint32_t period_us;
};
extern const struct sb_slot_class sb_slot_classes[];

/* Where a run is in its budget's period; ordered by priority, lowest first. */
enum sb_phase {
    SB_PHASE_NONE,       /* no run */
    SB_PHASE_PAUSED,     /* budget used up: suspended */
    SB_PHASE_BACKGROUND, /* runs when no other slot wants to */
    SB_PHASE_FREE,       /* no budget below the class's: one among equals */
    SB_PHASE_ASSURED,    /* runs before other slots: the part of the budget that is sure */
};

struct sb_limits {
    /* the run's */
    uint32_t percent;       /* of the CPU at most: of class, manifest and request the least */
    uint64_t timeout_ns;    /* 0: none */
    bool restart_on_failure;

    /* throttle.c */
    enum sb_phase phase;
    uint64_t period_start_ns;
    uint64_t phase_end_ns; /* SB_NEVER: it does not end by itself */

    uint64_t deadline_ns; /* watchdog.c; SB_NEVER: none */

    /* restart.c */
    uint64_t restart_at_ns;  /* SB_NEVER: not waiting for one */
    uint32_t failures;       /* in a row */
    uint64_t retries;        /* starts after a failure, since boot */
    uint64_t timeouts;       /* runs that the watchdog ended, since boot */
    uint64_t run_started_ns;

    /* meter.c: since boot */
    uint64_t run_ns;    /* between start and end of runs */
    uint64_t active_ns; /* of it, neither paused nor waiting in a call */
    uint64_t cpu_ns;    /* of it, without what other slots had meanwhile */
    uint64_t waited_ns; /* the wasi domain's counter at the last look */
};

struct sb_supervisor;
struct sb_slot;

/* limits.c. The timer: at or after the time asked for by wake_at. */
void sb_limits_tick(struct sb_supervisor *s);
void sb_limits_arm(struct sb_supervisor *s); /* after anything that changed a time */
/*
 * Asks for the time again that was asked for last. Every domain can reach the hardware timer (EL0 may write
 * CNTP_CTL_EL0), so a hostile engine can silence it: whatever else wakes the supervisor calls this, and the timer domain
 * then tells everybody whose time has come.
 */
void sb_limits_remind(const struct sb_supervisor *s);
void sb_limits_begin(struct sb_supervisor *s, unsigned number);             /* a run begins; the engine is not going yet */
void sb_limits_end(struct sb_supervisor *s, unsigned number, bool failed);  /* a run has ended; stops the engine */
/*
 * Cancels everything that is planned for the slot's module: its restart, its trial, and, unless it runs, its deadline and
 * the phases of its budget. Whatever takes a module away or replaces it calls this: erase, stop, start, reset, revocation.
 */
void sb_limits_cancel(struct sb_supervisor *s, unsigned number);

/* throttle.c */
void sb_throttle_begin(struct sb_supervisor *s, unsigned number, uint64_t now_ns);
void sb_throttle_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns);
void sb_throttle_end(struct sb_slot *slot);

/* watchdog.c */
void sb_watchdog_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns);

/* restart.c */
void sb_restart_after(struct sb_slot *slot, bool failed, uint64_t now_ns);
void sb_restart_cancel(struct sb_slot *slot);
void sb_restart_tick(struct sb_supervisor *s, unsigned number, uint64_t now_ns);

/* meter.c: bring all slots' counters up to now. Before any phase changes, and before they are read. */
void sb_meter(struct sb_supervisor *s);
