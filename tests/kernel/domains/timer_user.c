/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: the physical timer's interrupt, 30. A level that stays high comes once per acknowledgement; an
 * unacknowledged one doesn't come again; a deferred acknowledgement counts.
 */
#include "say.h"

uintptr_t uart_base;

enum { TIMER = 5 };

static uint64_t armed_for;

static void arm(uint64_t ms)
{
    armed_for = ticks() + ms * ticks_per_ms();
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(armed_for), "r"(1ul));
}

static void disarm(void)
{
    __asm__ volatile("msr cntp_ctl_el0, %0\n\tisb" ::"r"(0ul));
}

void init(void)
{
    say("timer: up\n");
    arm(5);
}

void notified(microkit_channel ch)
{
    static unsigned events;
    events++;
    say("timer: event ");
    say_number(events);
    say(" on ");
    say_number(ch);
    say(ticks() >= armed_for ? "\n" : " too early\n");
    if (events <= 3) { /* level high all the time: comes again at once */
        microkit_irq_ack(TIMER);
    } else if (events <= 6) {
        disarm();
        arm(5);
        microkit_deferred_irq_ack(TIMER);
    } else {
        disarm();
        arm(1);
        uint64_t until = ticks() + 20 * ticks_per_ms();
        while (ticks() < until) {
        }
        seL4_Word badge = 0x99;
        (void)seL4_Poll(1, &badge); /* not acknowledged: nothing may have come */
        say("timer: without acknowledgement");
        say_value("badge", badge);
        microkit_irq_ack(TIMER);
        (void)seL4_Poll(1, &badge);
        say(" and with it");
        say_value("badge", badge);
        say("\n-- end\n");
        disarm();
    }
}
