/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: a device's interrupt (the clock PL031's match, shared peripheral interrupt 34), level triggered. It comes
 * again as long as the level is high when it is acknowledged, and not if the level has fallen by then.
 */
#include "say.h"

uintptr_t uart_base;
uintptr_t rtc_base;

enum { RTC = 2, EDGE = 1, INPUT = 1 };

/* Registers of the PL031: DDI 0224, chapter 3. */
static volatile uint32_t *rtc(unsigned offset)
{
    return (volatile uint32_t *)(rtc_base + offset);
}

/* A match with the present second raises the interrupt at once; the second may pass in between. */
static void raise(void)
{
    *rtc(0x10) = 1;
    for (unsigned i = 0; i < 1000 && (*rtc(0x14) & 1u) == 0; i++) {
        *rtc(0x04) = *rtc(0x00);
    }
}

static void lower(void)
{
    *rtc(0x1c) = 1;
}

static seL4_Word poll(void)
{
    seL4_Word badge = 0x99;
    (void)seL4_Poll(INPUT, &badge);
    return badge;
}

void init(void)
{
    say("level: up\n");
    say_value("quiet", poll());
    raise();
    seL4_Word first = poll();
    seL4_Word again = poll();
    microkit_irq_ack(RTC); /* the level is still high */
    seL4_Word acknowledged = poll();
    lower();
    microkit_irq_ack(RTC);
    seL4_Word lowered = poll();
    raise();
    seL4_Word raised = poll();
    lower();
    raise(); /* up again before the acknowledgement: once */
    microkit_irq_ack(RTC);
    seL4_Word once = poll();
    lower();
    raise();
    lower(); /* gone before the acknowledgement */
    microkit_irq_ack(RTC);
    seL4_Word gone = poll();
    say_value("first", first);
    say_value("again", again);
    say_value("acknowledged", acknowledged);
    say_value("lowered", lowered);
    say_value("raised", raised);
    say_value("once", once);
    say_value("gone", gone);
    say("\n");
    raise(); /* the next one comes as an event */
}

void notified(microkit_channel ch)
{
    say("level: notified on ");
    say_number(ch);
    say("\n");
    lower();
    microkit_irq_ack(RTC);
    microkit_notify(EDGE);
}
