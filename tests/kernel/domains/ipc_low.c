/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: below everyone; sees merged what it was told while the others ran. */
#include "say.h"

uintptr_t uart_base;

void init(void)
{
    say("low: up\n");
}

void notified(microkit_channel ch)
{
    static unsigned events;
    say("low: notified on ");
    say_number(ch);
    say("\n");
    if (++events == 2) {
        say("-- end\n");
    }
}
