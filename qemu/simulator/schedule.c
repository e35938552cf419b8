/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who runs: strict priorities; among equals by slices and, where the description gives one, a budget in each period.
 *
 * Contract: a domain of higher priority that becomes runnable runs before the entry that woke it returns. Only domains
 * with a parent (the engines) are interrupted between kernel entries, by a timer's signal: in real time each TICK_NS;
 * in virtual time, where slices end at kernel entries, only after WATCHDOG_NS of processor time without one, so that an
 * endless loop keeps nobody out. What they compute between two entries is seen by nobody, so an interruption is
 * recorded as coming right after the entry before it, and a replay takes it there.
 *
 * Budgets are charged a tick at a time to whom the signal finds running (real time), or what entries cost (virtual).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim.h"

#define NS_PER_S UINT64_C(1000000000)
#define ENTRY_NS 500u         /* virtual time that a kernel entry of an engine takes */
#define TICK_NS 1000000u      /* Microkit's default time slice */
#define WATCHDOG_NS 5000000u  /* of processor time */
#define STUCK_NS 50000000u    /* virtual time that passes with it while somebody waits */

static timer_t timer;
static bool ticking;
static uint64_t seen_entries; /* at the last signal */
static uint64_t random_state;
static uint64_t slice_ns = TICK_NS;
static bool exhausted[SIM_DOMAINS]; /* waits for its next budget */

/* splitmix64: choices of the scheduler only, from --seed. */
static uint64_t next_random(void)
{
    uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static bool is_engine(const struct sim_domain *domain)
{
    return domain->row->parent != SIM_ROOT;
}

static bool has_budget(const struct sim_domain *domain)
{
    return domain->row->budget_us < domain->row->period_us;
}

void sim_wake(struct sim_domain *domain)
{
    domain->state = SIM_RUNNABLE;
    domain->turn = ++sim.turns;
}

static bool can_run(int index)
{
    return sim.domains[index].state == SIM_RUNNABLE && !exhausted[index];
}

static struct sim_domain *pick(void)
{
    struct sim_domain *best = NULL;
    for (int i = 0; i < SIM_DOMAINS; i++) {
        struct sim_domain *domain = &sim.domains[i];
        if (can_run(i) && (best == NULL || domain->priority > best->priority ||
                           (domain->priority == best->priority && domain->turn < best->turn))) {
            best = domain;
        }
    }
    return best;
}

static void end_slice(struct sim_domain *domain)
{
    domain->used_ns = 0;
    domain->turn = ++sim.turns;
    if (sim.options.seeded) {
        slice_ns = 1 + next_random() % ((uint64_t)2 * TICK_NS);
    }
}

/* A period begins when its budget is first looked at after the last one; used up, the domain waits for its end. */
static void look_at_budgets(void)
{
    uint64_t allowed = 0;
    bool changed = false;
    uint64_t now_ns = sim_now_ns();
    for (int i = 0; i < SIM_DOMAINS; i++) {
        struct sim_domain *domain = &sim.domains[i];
        if (!has_budget(domain)) {
            continue;
        }
        if (now_ns - domain->period_start_ns >= domain->row->period_us * UINT64_C(1000)) {
            domain->period_start_ns = now_ns;
            domain->period_used_ns = 0;
        }
        bool empty = domain->period_used_ns >= domain->row->budget_us * UINT64_C(1000);
        changed |= empty != exhausted[i];
        exhausted[i] = empty;
        allowed |= (uint64_t)!empty << i;
    }
    if (changed && !sim.options.virtual_time) {
        sim_record_event(SIM_EVENT_BUDGET, allowed, NULL, 0);
    }
}

void sim_set_budgets(uint64_t allowed)
{
    for (int i = 0; i < SIM_DOMAINS; i++) {
        exhausted[i] = has_budget(&sim.domains[i]) && (allowed >> i & 1u) == 0;
    }
}

/* Until a domain that waits for its budget has it again; UINT64_MAX: none waits. */
static uint64_t refill_wait_ns(void)
{
    uint64_t least = UINT64_MAX;
    uint64_t now_ns = sim_now_ns();
    for (int i = 0; i < SIM_DOMAINS; i++) {
        const struct sim_domain *domain = &sim.domains[i];
        if (exhausted[i] && domain->state == SIM_RUNNABLE) {
            uint64_t end_ns = domain->period_start_ns + domain->row->period_us * UINT64_C(1000);
            uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
            least = left_ns < least ? left_ns : least;
        }
    }
    return least;
}

void sim_rotate(uint64_t passed_ns)
{
    struct sim_domain *last = sim.current;
    sim_clock_charge(passed_ns);
    if (last != NULL && is_engine(last)) {
        last->period_used_ns += passed_ns;
        end_slice(last);
    }
}

/* The signal came. `stuck`: it found an engine running that has not entered the kernel since the last one. */
static void take_tick(bool stuck)
{
    struct sim_domain *domain = sim.current;
    sim.tick = 0;
    if (sim.options.virtual_time) {
        if (stuck) { /* computing takes no virtual time, unless somebody waits for time to pass */
            uint64_t passed_ns = sim_clock_wait_ns() == UINT64_MAX ? 0 : STUCK_NS;
            sim_record_event(SIM_EVENT_ROTATE, passed_ns, NULL, 0);
            sim_rotate(passed_ns);
        }
    } else {
        sim_clock_check();
        if (domain != NULL && is_engine(domain)) {
            domain->period_used_ns += TICK_NS;
            sim_record_event(SIM_EVENT_ROTATE, 0, NULL, 0);
            sim_rotate(0);
        }
        look_at_budgets();
    }
    sim_uart_exchange(0);
}

/* Gives way if somebody else should run; comes back when it is this domain's turn again. */
static void give_way(struct sim_domain *domain)
{
    if (sim.options.virtual_time) {
        sim_clock_check();
        look_at_budgets();
    }
    if (sim.ending || sim.reset || pick() != domain) {
        sim_context_switch(&domain->context, &sim.loop);
    }
}

void sim_leave(struct sim_domain *domain)
{
    if (sim.options.virtual_time && is_engine(domain)) {
        sim_clock_charge(ENTRY_NS);
        domain->used_ns += ENTRY_NS;
        domain->period_used_ns += ENTRY_NS;
        if (domain->used_ns >= slice_ns) {
            end_slice(domain);
        }
    }
    if (sim_replaying()) {
        (void)sim_replay_events();
    } else if (sim.tick) {
        take_tick(false);
    }
    give_way(domain);
    sim.in_kernel = 0;
}

static void on_tick(int number)
{
    struct sim_domain *domain = sim.current;
    bool stuck = seen_entries == sim.entries;
    (void)number;
    seen_entries = sim.entries;
    if (sim.in_kernel || sim_switching || domain == NULL || !is_engine(domain) ||
        (sim.options.virtual_time && !stuck)) {
        sim.tick = 1;
        return;
    }
    int saved_errno = errno;
    sim.in_kernel = 1;
    take_tick(stuck);
    give_way(domain);
    sim.in_kernel = 0;
    errno = saved_errno;
}

static void set_ticking(bool wanted)
{
    if (wanted != ticking && !sim_replaying()) {
        uint64_t ns = sim.options.virtual_time ? WATCHDOG_NS : TICK_NS;
        struct timespec period = {.tv_nsec = wanted ? (long)ns : 0};
        struct itimerspec setting = {.it_interval = period, .it_value = period};
        (void)timer_settime(timer, 0, &setting, NULL);
        ticking = wanted;
        seen_entries = UINT64_MAX;
    }
}

/* Nobody can run: wait for the socket or the clock; in virtual time, the clock comes at once. */
static void idle(void)
{
    uint64_t wait_ns = sim_clock_wait_ns();
    uint64_t refill_ns = refill_wait_ns();
    wait_ns = refill_ns < wait_ns ? refill_ns : wait_ns;
    sim.current = NULL;
    sim_uart_flush();
    set_ticking(false);
    if (sim_replaying() && sim_replay_events()) {
        return;
    }
    if (sim.options.virtual_time) {
        if (sim_replaying() || wait_ns == UINT64_MAX || !sim_uart_exchange(0)) {
            if (wait_ns != UINT64_MAX) {
                sim_clock_charge(wait_ns);
            } else if (sim_replaying()) {
                sim_replay_stuck();
            } else {
                (void)sim_uart_exchange(-1);
            }
        }
    } else if (sim_replaying()) {
        sim_replay_stuck();
    } else {
        (void)sim_uart_exchange(wait_ns > INT64_MAX ? -1 : (int64_t)wait_ns);
    }
    if (!sim_replaying() || sim.options.virtual_time) {
        sim_clock_check();
        look_at_budgets();
    }
}

void sim_run(void)
{
    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART | SA_NODEFER};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
    clockid_t clock = sim.options.virtual_time ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGALRM, &action, NULL) != 0 || timer_create(clock, &event, &timer) != 0) {
        sim_fail("no timer: %s", strerror(errno));
    }
    random_state = sim.options.seed;
    for (int i = 0; sim.options.seeded && i < SIM_DOMAINS; i++) {
        sim.domains[i].turn = next_random() >> 32;
        sim.turns = sim.turns > sim.domains[i].turn ? sim.turns : sim.domains[i].turn;
    }
    sim.in_kernel = 1;
    while (!sim.ending && !sim.reset) {
        struct sim_domain *next = pick();
        if (next == NULL) {
            idle();
            continue;
        }
        sim.current = next;
        if (is_engine(next)) {
            set_ticking(true);
        }
        sim_context_switch(&sim.loop, &next->context);
    }
}
