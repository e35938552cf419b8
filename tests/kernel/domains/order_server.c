/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: uses up its small budget, so that callers of several priorities queue at its endpoint before it is
 * there again; says in which order it then sees them.
 */
#include "say.h"

uintptr_t uart_base;

void init(void)
{
    say("server: up\n");
    uint64_t until = ticks() + 30 * ticks_per_ms(); /* of wall time: a few periods */
    while (ticks() < until) {
    }
    say("server: has spun\n");
}

void notified(microkit_channel ch)
{
    say("server: notified on ");
    say_number(ch);
    say("\n");
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo message)
{
    (void)message;
    say("server: called on ");
    say_number(ch);
    say("\n");
    return microkit_msginfo_new(0, 0);
}
