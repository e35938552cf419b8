/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: restarts a hostile child after every fault, counts the faults by label, and checks after each that a
 * bystander still answers and that the page the child must not reach is untouched. Named "watch" it plays more rounds
 * and keeps the counts, which depend on timing there, to itself.
 */
#include "hostile.h"
#include "say.h"

uintptr_t uart_base;
uintptr_t orders_base;
uintptr_t secret_base;

enum { CHILD = 0, BYSTANDER = 2, ON_CHILD = 1, ON_TIMER = 3, LABELS = 10, SECRET = 0x5ec7e7 };

static uint64_t labels[LABELS];
static uint64_t stopped, wrong, floods;

static void arm(uint64_t ms)
{
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(ticks() + ms * ticks_per_ms()), "r"(1ul));
}

static void check_the_others(void)
{
    microkit_mr_set(0, 41);
    microkit_msginfo answer = microkit_ppcall(BYSTANDER, microkit_msginfo_new(0, 1));
    if (microkit_msginfo_get_count(answer) != 1 || microkit_mr_get(0) != 42) {
        wrong++;
    }
    volatile uint64_t *secret = (volatile uint64_t *)secret_base;
    for (unsigned i = 0; i < 512; i++) {
        wrong += secret[i] != SECRET;
    }
}

static bool watching(void)
{
    return microkit_name[0] == 'w';
}

static uint64_t rounds(void)
{
    return watching() ? 5 * ROUNDS : ROUNDS;
}

static void next(void)
{
    volatile struct orders *orders = (volatile struct orders *)orders_base;
    check_the_others();
    if (++orders->round < rounds()) {
        microkit_pd_stop(CHILD);
        microkit_pd_restart(CHILD, orders->entry);
        arm(5);
        return;
    }
    __asm__ volatile("msr cntp_ctl_el0, %0" ::"r"(0ul));
    microkit_pd_stop(CHILD);
    for (unsigned i = 0; i < LABELS && !watching(); i++) {
        if (labels[i]) {
            say("parent: label ");
            say_number(i);
            say(": ");
            say_number(labels[i]);
            say("\n");
        }
    }
    say(microkit_name);
    if (!watching()) {
        say(": stopped ");
        say_number(stopped);
        say(", floods seen ");
        say_number(floods > 0);
    }
    say(": wrong ");
    say_number(wrong);
    say(", rounds ");
    say_number(orders->round);
    say("\n-- end\n");
}

void init(void)
{
    volatile uint64_t *secret = (volatile uint64_t *)secret_base;
    for (unsigned i = 0; i < 512; i++) {
        secret[i] = SECRET;
    }
    say(microkit_name);
    say(": up\n");
    arm(5);
}

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply)
{
    (void)child;
    (void)reply;
    uint64_t label = microkit_msginfo_get_label(msginfo);
    labels[label < LABELS ? label : 0]++;
    next();
    return seL4_False;
}

void notified(microkit_channel ch)
{
    if (ch == ON_CHILD) {
        floods++;
        return;
    }
    __asm__ volatile("msr cntp_ctl_el0, %0" ::"r"(0ul));
    microkit_irq_ack(ON_TIMER);
    volatile struct orders *orders = (volatile struct orders *)orders_base;
    if (orders->round < rounds()) { /* it neither faulted nor ended: it spins, floods or blocks */
        stopped++;
        next();
    }
}
