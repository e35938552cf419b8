/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The MCS system calls by number (sel4/constants.h): x7 the number, x0 the capability, x1 the tag, x2-x5 the
 * first message words, x6 the reply object (NBSendWait: the capability to send to), x8 the capability that NBSendRecv
 * sends to.
 *
 * Debug calls (-12 to -17) do nothing: their libsel4 stubs exist only in debug builds. Everything else unknown is a
 * fault of the caller.
 */
#include "kernel.h"

#include <sel4/constants.h>
#include <sel4/types.h>

enum { DEBUG_FIRST = -12, DEBUG_LAST = -17 };

static const struct cap null_cap = {CAP_NULL, 0, NULL};

const struct cap *lookup(const struct thread *thread, uint64_t cptr)
{
    return cptr >> CSPACE_BITS ? NULL : &thread->cspace[cptr];
}

/* Microkit's monitor for a root domain: label 0 is the request to become passive. */
static void tell_monitor(struct thread *thread)
{
    struct budget *own = &thread->own_budget;
    if (thread->context.x[1] >> 12 == 0 && thread->budget == own && thread->notification->budget == NULL) {
        (void)budget_take(thread);
        thread->notification->budget = own;
    }
}

/* False when the capability could not be found and the thread has faulted. */
static bool send(struct thread *thread, uint64_t cptr, bool blocking, bool call)
{
    const struct cap *cap = lookup(thread, cptr);
    if (cap == NULL) {
        if (blocking) {
            fault_cap(thread, cptr, false);
            return false;
        }
        cap = &null_cap;
    }
    struct answer answer;
    answer.length = 0;
    uint64_t error = seL4_NoError;
    switch (cap->type) {
    case CAP_ENDPOINT:
        ipc_send(cap->object, thread, cap->badge, blocking, call);
        return true;
    case CAP_MONITOR:
        tell_monitor(thread);
        if (call) { /* it never answers */
            thread->state = INACTIVE;
            schedule_stop(thread);
        }
        return true;
    case CAP_NOTIFICATION:
        notification_signal(cap->object, cap->badge);
        break;
    case CAP_REPLY:
        ipc_reply(cap->object, thread);
        break;
    case CAP_NULL:
        error = seL4_InvalidCapability;
        answer.length = 1;
        answer.mr[0] = 0;
        break;
    case CAP_THREAD:
    case CAP_IRQ:
    case CAP_VSPACE:
        error = invoke(thread, cap, thread->context.x[1], &answer);
        break;
    }
    if (call && thread->state == RUNNABLE) {
        message_answer(thread, error, answer.length, answer.mr);
    }
    return true;
}

static void receive(struct thread *thread, uint64_t cptr, bool blocking, bool with_reply, uint64_t reply_cptr)
{
    const struct cap *cap = lookup(thread, cptr);
    if (cap && cap->type == CAP_ENDPOINT) {
        struct reply *reply = NULL;
        if (with_reply) {
            const struct cap *reply_cap = lookup(thread, reply_cptr);
            if (reply_cap == NULL || reply_cap->type != CAP_REPLY) {
                fault_cap(thread, reply_cptr, true);
                return;
            }
            reply = reply_cap->object;
        }
        ipc_receive(cap->object, thread, reply, blocking);
        return;
    }
    if (cap && cap->type == CAP_NOTIFICATION) {
        struct notification *notification = cap->object;
        if (notification->bound == NULL || notification->bound == thread) {
            notification_wait(notification, thread, blocking);
            return;
        }
    }
    fault_cap(thread, cptr, true);
}

void syscall(struct thread *thread)
{
    struct context *context = &thread->context;
    uint64_t x0 = context->x[0];
    uint64_t x6 = context->x[6];
    int64_t number = (int64_t)context->x[7];
    switch (number) {
    case seL4_SysSend:
        (void)send(thread, x0, true, false);
        break;
    case seL4_SysNBSend:
        (void)send(thread, x0, false, false);
        break;
    case seL4_SysCall:
        (void)send(thread, x0, true, true);
        break;
    case seL4_SysRecv:
        receive(thread, x0, true, true, x6);
        break;
    case seL4_SysNBRecv:
        receive(thread, x0, false, true, x6);
        break;
    case seL4_SysWait:
        receive(thread, x0, true, false, 0);
        break;
    case seL4_SysNBWait:
        receive(thread, x0, false, false, 0);
        break;
    case seL4_SysReplyRecv: {
        const struct cap *reply = lookup(thread, x6);
        if (reply == NULL || reply->type != CAP_REPLY) {
            fault_cap(thread, x6, false);
            break;
        }
        ipc_reply(reply->object, thread);
        receive(thread, x0, true, true, x6);
        break;
    }
    case seL4_SysNBSendRecv:
        if (send(thread, context->x[8], false, false)) {
            receive(thread, x0, true, true, x6);
        }
        break;
    case seL4_SysNBSendWait:
        if (send(thread, x6, false, false)) {
            receive(thread, x0, true, false, 0);
        }
        break;
    case seL4_SysYield:
        schedule_yield();
        break;
    default:
        if (number > DEBUG_FIRST || number < DEBUG_LAST) {
            fault_unknown_syscall(thread);
        }
        break;
    }
}
