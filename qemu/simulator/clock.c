/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic timer: a counter of 62.5 MHz as on QEMU's machine, one deadline, and the real-time clock.
 *
 * Contract: real time counts from the simulator's start by the host's monotonic clock. Virtual time moves by
 * what the engines' kernel entries are charged and by jumps to the next deadline when nobody can run, so that it does
 * not depend on how often somebody outside asks the device for something. A domain that reads the counter again without
 * a kernel entry between sees it move on, for itself alone. A reading in real time is recorded; a replay answers the
 * recorded ones.
 */
#include <sb_counter.h>
#include <time.h>

#include "sim.h"

#define NS_PER_S UINT64_C(1000000000)
#define COUNTER_HZ UINT64_C(62500000)
#define NS_PER_TICK (NS_PER_S / COUNTER_HZ)
#define READING_NS 1000u          /* virtual time between two readings in a row of one domain */
#define VIRTUAL_EPOCH 1767225600u /* 2026-01-01 00:00 UTC: what the RTC starts with in virtual time */

static uint64_t start_ns;   /* of the host's clock */
static uint64_t virtual_ns;
static uint64_t last_ticks; /* last reading, recorded as a difference */
static uint64_t deadline;   /* ticks, 0: none */

static uint64_t host_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

void sim_clock_init(void)
{
    start_ns = host_ns();
    if (!sim.options.rtc_given) {
        sim.options.rtc = sim.options.virtual_time ? VIRTUAL_EPOCH : (uint32_t)time(NULL);
    }
}

uint64_t sim_now_ns(void)
{
    return sim.options.virtual_time ? virtual_ns : host_ns() - start_ns;
}

void sim_clock_charge(uint64_t ns)
{
    virtual_ns += ns;
}

uint64_t sb_counter_hz(void)
{
    return COUNTER_HZ;
}

/* Never less than the domain's last reading. */
static uint64_t virtual_reading(struct sim_domain *domain)
{
    domain->readings = domain->read_at == sim.entries ? domain->readings + 1 : 0;
    domain->read_at = sim.entries;
    uint64_t ticks = (virtual_ns + domain->readings * READING_NS) / NS_PER_TICK;
    domain->last_ticks = ticks > domain->last_ticks ? ticks : domain->last_ticks;
    return domain->last_ticks;
}

uint64_t sb_counter_ticks(void)
{
    sim.in_kernel = 1;
    uint64_t ticks;
    if (sim.options.virtual_time) {
        ticks = virtual_reading(sim.current);
    } else if (sim_replaying()) {
        ticks = last_ticks + sim_replay_counter();
    } else {
        ticks = sim_now_ns() / NS_PER_TICK;
        sim_record_event(SIM_EVENT_COUNTER, ticks - last_ticks, NULL, 0);
    }
    last_ticks = ticks;
    sim.in_kernel = 0;
    return ticks;
}

void sb_counter_deadline(uint64_t ticks)
{
    sim.in_kernel = 1;
    deadline = ticks;
    sim.in_kernel = 0;
}

uint64_t sim_clock_wait_ns(void)
{
    uint64_t now_ns = sim_now_ns();
    if (deadline == 0) {
        return UINT64_MAX;
    }
    uint64_t at_ns = deadline > UINT64_MAX / NS_PER_TICK ? UINT64_MAX - 1 : deadline * NS_PER_TICK;
    return at_ns > now_ns ? at_ns - now_ns : 0;
}

void sim_clock_due(void)
{
    (void)sim_interrupt(SIM_TIMER_IRQ);
}

void sim_clock_check(void)
{
    bool live = sim.options.virtual_time || !sim_replaying();
    if (live && deadline != 0 && sim_now_ns() / NS_PER_TICK >= deadline && sim_interrupt(SIM_TIMER_IRQ)) {
        if (!sim.options.virtual_time) {
            sim_record_event(SIM_EVENT_DEADLINE, 0, NULL, 0);
        }
    }
}

uint32_t sim_clock_rtc(void)
{
    return sim.options.rtc;
}
