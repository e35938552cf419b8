/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: measures how much of the core each of three spinning domains gets, in hundredths of what all got, first left
 * alone and then while we interrupt them every millisecond.
 */
#include "shares.h"
#include "say.h"

uintptr_t shares_base;
uintptr_t uart_base;

enum { TIMER = 0, LONG_MS = 1000, SHORT_MS = 1, SHORTS = 1000 };

static uint64_t before[SPINNERS];

static void arm(uint64_t ms)
{
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(ticks() + ms * ticks_per_ms()), "r"(1ul));
}

static void mark(void)
{
    volatile struct shares *shares = (volatile struct shares *)shares_base;
    for (unsigned i = 0; i < SPINNERS; i++) {
        before[i] = shares->spinner[i].count;
    }
}

static void judge(const char *what)
{
    volatile struct shares *shares = (volatile struct shares *)shares_base;
    uint64_t part[SPINNERS];
    uint64_t sum = 0;
    for (unsigned i = 0; i < SPINNERS; i++) {
        part[i] = shares->spinner[i].count - before[i];
        sum += part[i];
    }
    say("judge: ");
    say(what);
    say(": percent");
    for (unsigned i = 0; i < SPINNERS; i++) {
        say(" ");
        say_number(sum ? (part[i] * 100 + sum / 2) / sum : 0);
    }
    say(", wrong registers");
    for (unsigned i = 0; i < SPINNERS; i++) {
        say(" ");
        say_number(shares->spinner[i].fpu_errors);
    }
    say("\n");
}

void init(void)
{
    say("judge: up\n");
    arm(LONG_MS);
}

void notified(microkit_channel ch)
{
    (void)ch;
    static unsigned phase;
    static unsigned shorts;
    if (phase == 1) {
        judge("left alone");
    } else if (phase == 2 && ++shorts < SHORTS) {
        arm(SHORT_MS);
        microkit_irq_ack(TIMER);
        return;
    } else if (phase == 2) {
        judge("interrupted");
        say("-- end\n");
        return;
    }
    phase++;
    mark();
    arm(phase == 1 ? LONG_MS : SHORT_MS);
    microkit_irq_ack(TIMER);
}
