/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: a device's interrupt (the UART's transmit interrupt, shared peripheral interrupt 33), edge triggered. Each
 * rise counts once, those before the acknowledgement as one; a level that stays high does not come again.
 */
#include "say.h"

uintptr_t uart_base;

enum { UART = 9, INPUT = 1, TRANSMIT = 1 << 5 };

static volatile uint32_t *uart(unsigned offset)
{
    return (volatile uint32_t *)(uart_base + offset);
}

/* The line rises when a byte is sent while it is low, and falls when the cause is cleared: DDI 0183, 3.3.13. */
static void raise(void)
{
    *uart(0x00) = '.';
}

static void lower(void)
{
    *uart(0x44) = TRANSMIT;
}

static seL4_Word poll(void)
{
    seL4_Word badge = 0x99;
    (void)seL4_Poll(INPUT, &badge);
    return badge;
}

void init(void)
{
    say("edge: up\n");
}

void notified(microkit_channel ch)
{
    (void)ch;
    lower();
    *uart(0x38) = TRANSMIT;
    seL4_Word quiet = poll();
    raise();
    seL4_Word first = poll();
    raise(); /* the line is high already */
    microkit_irq_ack(UART);
    seL4_Word still_high = poll();
    lower();
    raise();
    seL4_Word second = poll();
    for (unsigned i = 0; i < 3; i++) {
        lower();
        raise();
    }
    seL4_Word before = poll();
    microkit_irq_ack(UART);
    seL4_Word merged = poll();
    microkit_irq_ack(UART);
    seL4_Word nothing = poll();
    lower();
    raise();
    seL4_Word third = poll();
    lower();
    raise();
    lower(); /* an edge stays, even if the line has fallen */
    microkit_irq_ack(UART);
    seL4_Word remembered = poll();
    *uart(0x38) = 0;
    say("\nedge:");
    say_value("quiet", quiet);
    say_value("first", first);
    say_value("still_high", still_high);
    say_value("second", second);
    say_value("before", before);
    say_value("merged", merged);
    say_value("nothing", nothing);
    say_value("third", third);
    say_value("remembered", remembered);
    say("\n-- end\n");
}
