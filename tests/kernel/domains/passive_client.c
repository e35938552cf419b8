/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: calls and notifies a passive domain. */
#include "say.h"

uintptr_t uart_base;

enum { FIRST = 1, SECOND = 2 };

void init(void)
{
    say("client: up\n");
    for (uint64_t i = 0; i < 3; i++) {
        microkit_mr_set(0, i * 10);
        (void)microkit_ppcall(FIRST, microkit_msginfo_new(0, 1));
        say("client: got ");
        say_number(microkit_mr_get(0));
        say("\n");
    }
    microkit_mr_set(0, 21);
    (void)microkit_ppcall(SECOND, microkit_msginfo_new(0, 1));
    say("client: got ");
    say_number(microkit_mr_get(0));
    say("\n");
    microkit_notify(FIRST);
    say("client: notified it\n");
    microkit_mr_set(0, 7);
    (void)microkit_ppcall(FIRST, microkit_msginfo_new(0, 1));
    say("client: got ");
    say_number(microkit_mr_get(0));
    say("\n-- end\n");
}

void notified(microkit_channel ch)
{
    (void)ch;
}
