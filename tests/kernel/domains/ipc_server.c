/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: checks and answers the calls of ipc_client; channel 5 calls a domain above. */
#include "say.h"

uintptr_t uart_base;

enum { CLIENT = 4, CLIENT_AGAIN = 7, ABOVE = 5 };

static uint64_t value(uint64_t count, uint64_t i)
{
    return (count << 32 | i) * 0x9e3779b97f4a7c15u;
}

void init(void)
{
    say("server: up\n");
}

void notified(microkit_channel ch)
{
    (void)ch;
}

static microkit_msginfo check(microkit_msginfo message)
{
    uint64_t count = microkit_msginfo_get_count(message);
    if (microkit_msginfo_get_label(message) != 0x1000u + count) {
        say("server: wrong label\n");
    }
    for (seL4_Uint8 i = 0; i < count; i++) {
        if (microkit_mr_get(i) != value(count, i)) {
            say("server: wrong word\n");
        }
    }
    for (seL4_Uint8 i = 0; i < 64 - count; i++) {
        microkit_mr_set(i, ~value(count, i));
    }
    return microkit_msginfo_new(0x55u ^ count, (seL4_Uint16)(64 - count));
}

microkit_msginfo protected(microkit_channel ch, microkit_msginfo message)
{
    if (ch == CLIENT) {
        return check(message);
    }
    uint64_t label = microkit_msginfo_get_label(message);
    if (ch != CLIENT_AGAIN) {
        say("server: unknown channel\n");
    }
    if (label == 1) {
        microkit_mr_set(0, ch);
        microkit_mr_set(1, 99); /* not part of the answer */
        return microkit_msginfo_new(label, 1);
    }
    if (label == 2) {
        microkit_mr_set(0, microkit_mr_get(0) * 10);
        microkit_msginfo answer = microkit_ppcall(ABOVE, microkit_msginfo_new(0, 1));
        microkit_mr_set(0, microkit_mr_get(0) + 1);
        return answer;
    }
    if (label == 3) {
        microkit_notify(CLIENT);
        microkit_notify(CLIENT_AGAIN);
    }
    return microkit_msginfo_new(label, 0);
}
