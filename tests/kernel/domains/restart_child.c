/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance: does what restart_parent's page says each time it is started; keeps count in its own memory. */
#include "restart.h"
#include "say.h"

uintptr_t uart_base;
uintptr_t page_base;
uintptr_t code_base;

enum { PARENT = 1, SERVER = 2 };

static unsigned starts;

void _start(void);
void again(void);

uint8_t stack[4096] __attribute__((aligned(16), used)); /* for starts anew: where Microkit's ends is the release's */

__attribute__((naked)) void again(void)
{
    __asm__ volatile("adrp x0, stack\n\tadd x0, x0, :lo12:stack\n\tadd x0, x0, #4096\n\tmov sp, x0\n\tb _start");
}

static void say_started(void)
{
    say("child: start ");
    say_number(++starts);
    say("\n");
}

void init(void)
{
    volatile struct page *page = (volatile struct page *)page_base;
    page->entry = (uint64_t)again;
    say_started();
    switch (page->order) {
    case ORDER_CALL:
        microkit_mr_set(0, 100 + starts);
        (void)microkit_ppcall(SERVER, microkit_msginfo_new(0, 1));
        say("child: the server answered ");
        say_number(microkit_mr_get(0));
        say("\n");
        break;
    case ORDER_RUN_CODE:
        say("child: the code says ");
        say_number(((uint64_t(*)(void))code_base)());
        say("\n");
        break;
    case ORDER_FAULT:
        __asm__ volatile("mov x0, #5\n\t.inst 0x00000000" ::: "x0");
        break;
    default:
        break;
    }
}

void notified(microkit_channel ch)
{
    say("child: notified on ");
    say_number(ch);
    say("\n");
    microkit_notify(PARENT);
}
