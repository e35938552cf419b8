/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance: stops, restarts and resumes a child in every state that it can be in: waiting for events, calling a
 * server that is slow to answer, waiting for its turn at that server, stopped by a fault. Every step is 20 ms.
 */
#include "restart.h"
#include "say.h"

uintptr_t uart_base;
uintptr_t page_base;
uintptr_t code_base; /* rw here, rx in the child */

enum { CHILD = 9, TIMER = 0, TO_CHILD = 1, STEP_MS = 20 };

static void arm(void)
{
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(ticks() + STEP_MS * ticks_per_ms()), "r"(1ul));
}

static void restart(enum restart_order order)
{
    volatile struct page *page = (volatile struct page *)page_base;
    page->order = order;
    microkit_pd_stop(CHILD);
    microkit_pd_restart(CHILD, page->entry);
}

static void say_state(const char *what, seL4_Error error)
{
    say("parent: ");
    say(what);
    say(error == seL4_NoError ? "\n" : " (refused)\n");
}

static void write_code(void)
{
    static const uint32_t code[] = {0xd2800540u, 0xd65f03c0u}; /* mov x0, #42; ret */
    volatile uint32_t *to = (volatile uint32_t *)code_base;
    for (unsigned i = 0; i < 2; i++) {
        to[i] = code[i];
    }
    __asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" ::"r"(to) : "memory");
}

static void wrong_calls(void)
{
    microkit_msginfo info = seL4_Call(BASE_TCB_CAP + CHILD, seL4_MessageInfo_new(200, 0, 0, 0));
    say("parent: unknown method");
    say_value("error", microkit_msginfo_get_label(info));
    info = seL4_Call(BASE_TCB_CAP + CHILD, seL4_MessageInfo_new(TCBWriteRegisters, 0, 0, 1));
    say(" short message");
    say_value("error", microkit_msginfo_get_label(info));
    microkit_mr_set(0, 0);
    microkit_mr_set(1, 37);
    info = seL4_Call(BASE_TCB_CAP + CHILD, seL4_MessageInfo_new(TCBReadRegisters, 0, 0, 2));
    say(" too many registers");
    say_value("error", microkit_msginfo_get_label(info));
    info = seL4_Call(BASE_IRQ_CAP + TIMER, seL4_MessageInfo_new(200, 0, 0, 0));
    say(" interrupt");
    say_value("error", microkit_msginfo_get_label(info));
    say("\n");
}

void init(void)
{
    say("parent: up\n");
    arm();
}

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply)
{
    static unsigned faults;
    say("parent: fault of ");
    say_number(child);
    say_value("label", microkit_msginfo_get_label(msginfo));
    say("\n");
    *reply = microkit_msginfo_new(1, 0); /* anything but 0: don't go on */
    return ++faults != 2;                /* the second time there is no answer at all */
}

void notified(microkit_channel ch)
{
    if (ch == TO_CHILD) {
        say("parent: the child notified\n");
        return;
    }
    static unsigned step;
    static seL4_UserContext context;
    __asm__ volatile("msr cntp_ctl_el0, %0" ::"r"(0ul));
    switch (step++) {
    case 0:
        say("parent: restart while it waits for events\n");
        restart(ORDER_IDLE);
        break;
    case 1:
        microkit_notify(TO_CHILD);
        say("parent: notified it\n");
        break;
    case 2:
        say("parent: it shall call\n");
        restart(ORDER_CALL);
        break;
    case 3: /* the server has its call and takes 50 ms */
        say("parent: restart while it waits for the answer\n");
        restart(ORDER_CALL);
        break;
    case 4: /* the server still has the first call: the second waits in its queue */
        say_state("suspend while it waits for its turn", seL4_TCB_Suspend(BASE_TCB_CAP + CHILD));
        break;
    case 5:
        say_state("and resume", seL4_TCB_Resume(BASE_TCB_CAP + CHILD));
        break;
    case 6:
    case 7:
    case 8:
        break;
    case 9:
        say_state("suspend while it waits for events", seL4_TCB_Suspend(BASE_TCB_CAP + CHILD));
        microkit_notify(TO_CHILD);
        break;
    case 10:
        say_state("resume it with a notification pending", seL4_TCB_Resume(BASE_TCB_CAP + CHILD));
        break;
    case 11:
        write_code();
        say("parent: it shall run what we wrote\n");
        restart(ORDER_RUN_CODE);
        break;
    case 12:
        say("parent: it shall fault\n");
        restart(ORDER_FAULT);
        break;
    case 13:
        say_state("resume after an answer that says no", seL4_TCB_Resume(BASE_TCB_CAP + CHILD));
        break;
    case 14:
        say_state("resume after no answer", seL4_TCB_Resume(BASE_TCB_CAP + CHILD));
        break;
    case 15:
        say_state("read it and suspend it", seL4_TCB_ReadRegisters(BASE_TCB_CAP + CHILD, 1, 0, 36, &context));
        say_value("x0", context.x0);
        say("\n");
        context.x0 = 7;
        say_state("write it", seL4_TCB_WriteRegisters(BASE_TCB_CAP + CHILD, 0, 0, 36, &context));
        context.x0 = 8;
        (void)seL4_TCB_ReadRegisters(BASE_TCB_CAP + CHILD, 0, 0, 4, &context);
        say("parent: read back");
        say_value("x0", context.x0);
        say_value("spsr", context.spsr & 0xfu);
        say("\n");
        break;
    case 16:
        say("parent: one last time\n");
        restart(ORDER_IDLE);
        break;
    default:
        wrong_calls();
        say("-- end\n");
        return;
    }
    arm();
    microkit_irq_ack(TIMER);
}
