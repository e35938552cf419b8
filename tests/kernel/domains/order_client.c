/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: calls the server and says so; several of these run, told apart by their names. */
#include "say.h"

uintptr_t uart_base;

enum { SERVER = 0, PEER = 1 };

static void say_name(const char *what)
{
    say(microkit_name);
    say(": ");
    say(what);
    say("\n");
}

void init(void)
{
    say_name("up");
    microkit_notify(SERVER);
    (void)microkit_ppcall(SERVER, microkit_msginfo_new(0, 0));
    say_name("answered");
    microkit_notify(PEER);
    say_name("notified its peer");
}

void notified(microkit_channel ch)
{
    (void)ch;
    say_name("notified");
    if (microkit_name[0] == 'z') {
        say("-- end\n");
        return;
    }
    microkit_notify(PEER);
    say_name("passed it on");
}
