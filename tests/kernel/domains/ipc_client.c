/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: calls, notifications and their order, seen from a domain between a lower and several higher ones. */
#include "say.h"

uintptr_t uart_base;

enum { SERVER = 1, SERVER_AGAIN = 2, HIGH = 3, LOW = 4, LOW_TOO = 5, NOWHERE = 9, INPUT = 1 };

static uint64_t value(uint64_t count, uint64_t i)
{
    return (count << 32 | i) * 0x9e3779b97f4a7c15u;
}

/* The server answers with 64 - count words, each the complement of what we would have sent there. */
static void calls(void)
{
    uint64_t good = 0;
    for (seL4_Uint16 count = 0; count <= 64; count++) {
        for (seL4_Uint8 i = 0; i < count; i++) {
            microkit_mr_set(i, value(count, i));
        }
        microkit_msginfo answer = microkit_ppcall(SERVER, microkit_msginfo_new(0x1000u + count, count));
        bool ok = microkit_msginfo_get_label(answer) == (0x55u ^ count) &&
                  microkit_msginfo_get_count(answer) == 64u - count;
        for (seL4_Uint8 i = 0; i < 64u - count; i++) {
            ok = ok && microkit_mr_get(i) == ~value(count, i);
        }
        good += ok;
    }
    say("client: calls with 0 to 64 words answered: ");
    say_number(good);
    say("\n");

    microkit_mr_set(0, 11);
    microkit_mr_set(1, 22);
    microkit_mr_set(2, 33);
    microkit_mr_set(3, 44);
    microkit_mr_set(4, 55);
    microkit_msginfo answer = microkit_ppcall(SERVER_AGAIN, microkit_msginfo_new(1, 5));
    say("client: second channel:");
    say_value("label", microkit_msginfo_get_label(answer));
    say_value("count", microkit_msginfo_get_count(answer));
    for (seL4_Uint8 i = 0; i < 5; i++) {
        say_value("mr", microkit_mr_get(i));
    }
    say("\n");
    answer = microkit_ppcall(SERVER_AGAIN, microkit_msginfo_new(0xfffffffffffffu, 0));
    say("client: largest label came back");
    say_value("label", microkit_msginfo_get_label(answer));
    say("\n");
    answer = microkit_ppcall(NOWHERE, microkit_msginfo_new(1, 1));
    say("client: call nowhere");
    say_value("label", microkit_msginfo_get_label(answer));
    say_value("count", microkit_msginfo_get_count(answer));
    say("\n");
    microkit_mr_set(0, 3);
    answer = microkit_ppcall(SERVER_AGAIN, microkit_msginfo_new(2, 1));
    say("client: through the server to the next");
    say_value("mr", microkit_mr_get(0));
    say("\n");
}

static void notifications(void)
{
    say("client: notify high\n");
    microkit_notify(HIGH);
    say("client: notified high\n");
    microkit_notify(LOW_TOO);
    microkit_notify(LOW);
    microkit_notify(LOW);
    microkit_notify(LOW);
    microkit_notify(LOW_TOO);
    microkit_notify(NOWHERE);
    say("client: notified low five times\n");
    seL4_Yield();
    say("client: yielded\n");
}

static void polls(void)
{
    seL4_Word badge = 0x77;
    seL4_MessageInfo_t info = seL4_Poll(INPUT, &badge);
    say("client: poll after the server's notification:");
    say_value("badge", badge);
    (void)info;
    badge = 0x77;
    info = seL4_Poll(INPUT, &badge);
    say(" and again:");
    say_value("badge", badge);
    say("\n");
    info = seL4_Call(BASE_OUTPUT_NOTIFICATION_CAP + HIGH, seL4_MessageInfo_new(7, 0, 0, 3));
    say("client: call on a notification:");
    say_value("label", seL4_MessageInfo_get_label(info));
    say_value("length", seL4_MessageInfo_get_length(info));
    say("\n");
}

void init(void)
{
    say("client: up\n");
    calls();
    notifications();
    polls();
    microkit_mr_set(0, 0);
    (void)microkit_ppcall(SERVER_AGAIN, microkit_msginfo_new(3, 0)); /* the server notifies us */
    microkit_deferred_notify(LOW);
    microkit_deferred_notify(HIGH);
    say("client: init ends with a deferred notification\n");
}

void notified(microkit_channel ch)
{
    say("client: notified on ");
    say_number(ch);
    say("\n");
}
