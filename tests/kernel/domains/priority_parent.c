/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: changes the priorities of two children that compute for ever, suspends and resumes one of them, and tells
 * what each got of the core; then asks for what it may not have. A child's own capability is the authority: Microkit lets
 * each domain control up to its own priority.
 */
#include "shares.h"
#include "say.h"

uintptr_t shares_base;
uintptr_t uart_base;

enum { A = 0, B = 1, TIMER = 0, CHANNEL = 1, STEP_MS = 100 };

static uint64_t before[2];

static void arm(void)
{
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(ticks() + STEP_MS * ticks_per_ms()), "r"(1ul));
}

static seL4_Error set(microkit_child child, uint64_t priority)
{
    return seL4_TCB_SetPriority(BASE_TCB_CAP + child, BASE_TCB_CAP + child, priority);
}

static void measure(const char *what)
{
    volatile struct shares *shares = (volatile struct shares *)shares_base;
    uint64_t part[2];
    for (unsigned i = 0; i < 2; i++) {
        part[i] = shares->spinner[i].count - before[i];
    }
    uint64_t sum = part[0] + part[1];
    say("parent: ");
    say(what);
    for (unsigned i = 0; i < 2; i++) {
        say(i == 0 ? ": percent " : " ");
        say_number(sum ? (part[i] * 100 + sum / 2) / sum : 0);
    }
    say("\n");
}

static void refusals(void)
{
    say("parent: refused:");
    say_value("above_authority", set(A, 101));
    say_value("far_above", set(A, 300));
    say_value("no_thread", seL4_TCB_SetPriority(BASE_TCB_CAP + A, BASE_OUTPUT_NOTIFICATION_CAP + CHANNEL, 50));
    microkit_mr_set(0, 50);
    microkit_msginfo info = seL4_Call(BASE_TCB_CAP + A, seL4_MessageInfo_new(TCBSetPriority, 0, 0, 1));
    say_value("no_authority", microkit_msginfo_get_label(info));
    seL4_SetCap(0, BASE_TCB_CAP + A);
    info = seL4_Call(BASE_TCB_CAP + A, seL4_MessageInfo_new(TCBSetPriority, 0, 1, 0));
    say_value("no_priority", microkit_msginfo_get_label(info));
    say("\n");
}

static void step(unsigned number)
{
    switch (number) {
    case 0:
        break;
    case 1:
        measure("equal");
        say_value("lower", set(A, 99));
        say("\n");
        break;
    case 2:
        measure("a below b");
        (void)set(A, 100);
        (void)set(B, 98);
        break;
    case 3:
        measure("a above b");
        (void)set(B, 100);
        microkit_pd_stop(B);
        break;
    case 4:
        measure("b suspended");
        (void)seL4_TCB_Resume(BASE_TCB_CAP + B);
        break;
    case 5:
        measure("b resumed");
        microkit_pd_stop(A);
        (void)set(A, 90);
        (void)seL4_TCB_Resume(BASE_TCB_CAP + A);
        break;
    default:
        measure("a lowered while it was suspended");
        refusals();
        say("-- end\n");
        return;
    }
    volatile struct shares *shares = (volatile struct shares *)shares_base;
    for (unsigned i = 0; i < 2; i++) {
        before[i] = shares->spinner[i].count;
    }
    arm();
}

void init(void)
{
    say("parent: up\n");
    step(0);
}

void notified(microkit_channel ch)
{
    static unsigned steps;
    (void)ch;
    step(++steps);
    microkit_irq_ack(TIMER);
}

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply)
{
    (void)child;
    (void)msginfo;
    (void)reply;
    say("parent: a child faulted\n");
    return seL4_False;
}
