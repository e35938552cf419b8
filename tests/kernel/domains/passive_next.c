/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: a passive domain that another passive one calls; takes its time and so its callers' budget. */
#include "say.h"

uintptr_t uart_base;

void init(void)
{
    say("next: up\n");
}

void notified(microkit_channel ch)
{
    (void)ch;
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo message)
{
    (void)ch;
    uint64_t until = ticks() + 5 * ticks_per_ms(); /* several time slices of the caller's */
    while (ticks() < until) {
    }
    say("next: called with ");
    say_number(microkit_mr_get(0));
    say("\n");
    microkit_mr_set(0, microkit_mr_get(0) * 2);
    return microkit_msginfo_new(0, (seL4_Uint16)microkit_msginfo_get_count(message));
}
