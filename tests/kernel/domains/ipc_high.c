/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: above everyone; preempts whoever notifies it, and answers the server's calls. */
#include "say.h"

uintptr_t uart_base;

void init(void)
{
    say("high: up\n");
}

void notified(microkit_channel ch)
{
    say("high: notified on ");
    say_number(ch);
    say("\n");
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo message)
{
    say("high: called on ");
    say_number(ch);
    say("\n");
    microkit_mr_set(0, microkit_mr_get(0) + 5);
    return microkit_msginfo_new(0, (seL4_Uint16)microkit_msginfo_get_count(message));
}
