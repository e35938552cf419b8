/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: a passive domain; after init it runs only on the time of whoever calls it, or none. */
#include "say.h"

uintptr_t uart_base;

enum { FIRST = 1, SECOND = 2, NEXT = 3 };

void init(void)
{
    say("passive: up\n");
}

void notified(microkit_channel ch)
{
    say("passive: notified on ");
    say_number(ch);
    say("\n");
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo message)
{
    say("passive: called on ");
    say_number(ch);
    say("\n");
    if (ch == SECOND) { /* passes the call on to another passive domain */
        (void)microkit_ppcall(NEXT, message);
    }
    microkit_mr_set(0, microkit_mr_get(0) + 1);
    return microkit_msginfo_new(0, 1);
}
