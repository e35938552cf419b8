/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: three generations, one program. Each domain faults once it is told to and looks after its own child;
 * the faults of a child wait while its parent itself is stopped.
 */
#include "say.h"

uintptr_t uart_base;
uintptr_t entries_base;

enum { TOP, MIDDLE, LEAF, CHILD = 5, DOWN = 0, UP = 1, TIMER = 7 };

struct entries {
    uint64_t entry[3];
};

void _start(void);
void again(void);

uint8_t stack[4096] __attribute__((aligned(16), used)); /* for starts anew: where Microkit's ends is the release's */

__attribute__((naked)) void again(void)
{
    __asm__ volatile("adrp x0, stack\n\tadd x0, x0, :lo12:stack\n\tadd x0, x0, #4096\n\tmov sp, x0\n\tb _start");
}

static unsigned starts;

static unsigned rank(void)
{
    return microkit_name[0] == 't' ? TOP : microkit_name[0] == 'm' ? MIDDLE : LEAF;
}

static void tell(const char *what)
{
    say(microkit_name);
    say(": ");
    say(what);
    say("\n");
}

static void arm(uint64_t ms)
{
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(ticks() + ms * ticks_per_ms()), "r"(1ul));
}

void init(void)
{
    volatile struct entries *entries = (volatile struct entries *)entries_base;
    entries->entry[rank()] = (uint64_t)again;
    tell(starts++ == 0 ? "up" : "up again");
    if (rank() == TOP) {
        arm(10);
    }
}

static void crash(void)
{
    *(volatile uint64_t *)0x70000000 = 1;
}

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply)
{
    volatile struct entries *entries = (volatile struct entries *)entries_base;
    (void)reply;
    say(microkit_name);
    say(": fault of child ");
    say_number(child);
    say_value("label", microkit_msginfo_get_label(msginfo));
    say_value("address", microkit_mr_get(seL4_VMFault_Addr));
    say("\n");
    if (rank() == TOP) {
        tell("leaves it stopped for a while");
        return seL4_False;
    }
    microkit_pd_restart(child, entries->entry[rank() + 1]);
    return seL4_False;
}

void notified(microkit_channel ch)
{
    volatile struct entries *entries = (volatile struct entries *)entries_base;
    static unsigned step;
    if (ch != TIMER) {
        tell("told to crash");
        if (rank() == MIDDLE) { /* first the child, then we: it will fault while we are stopped */
            microkit_notify(DOWN);
        }
        crash();
        return;
    }
    __asm__ volatile("msr cntp_ctl_el0, %0" ::"r"(0ul));
    step++;
    if (step == 1) {
        microkit_notify(DOWN);
    } else if (step == 2) {
        tell("restarts its child");
        microkit_pd_restart(CHILD, entries->entry[MIDDLE]);
    } else {
        tell("done");
        say("-- end\n");
        return;
    }
    arm(10);
    microkit_irq_ack(TIMER);
}
