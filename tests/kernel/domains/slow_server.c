/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: answers after 50 ms. */
#include "say.h"

uintptr_t uart_base;

void init(void)
{
    say("server: up\n");
}

void notified(microkit_channel ch)
{
    (void)ch;
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo message)
{
    (void)ch;
    (void)message;
    uint64_t question = microkit_mr_get(0);
    say("server: asked ");
    say_number(question);
    say("\n");
    uint64_t until = ticks() + 50 * ticks_per_ms();
    while (ticks() < until) {
    }
    say("server: answers\n");
    microkit_mr_set(0, question * 2);
    return microkit_msginfo_new(0, 1);
}
