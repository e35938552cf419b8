/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between threads: endpoints, notifications, reply objects (seL4 reference manual, "Message Passing" and
 * "Notifications"; MCS variants).
 *
 * Contract: a message is a tag in x1, words 0-3 in x2-x5 and words 4-119 in the IPC buffer, whose page the kernel knows
 * from boot: no address comes from the sender. Capabilities in a message are ignored. The badge arrives in x0.
 */
#include "kernel.h"

static uint64_t tag_length(uint64_t tag)
{
    uint64_t length = tag & 0x7fu;
    return length > MAX_MESSAGE ? MAX_MESSAGE : length;
}

uint64_t message_word(const struct thread *thread, uint64_t index)
{
    return index < FAST_REGISTERS ? thread->context.x[2 + index] : thread->ipc_buffer[1 + index];
}

void message_set(struct thread *thread, uint64_t index, uint64_t word)
{
    if (index < FAST_REGISTERS) {
        thread->context.x[2 + index] = word;
    } else {
        thread->ipc_buffer[1 + index] = word;
    }
}

void message_answer(struct thread *thread, uint64_t label, uint64_t length, const uint64_t *words)
{
    for (uint64_t i = 0; i < length; i++) {
        message_set(thread, i, words[i]);
    }
    thread->context.x[0] = 0;
    thread->context.x[1] = label << 12 | length;
}

/* Copies the message that `from` sends into `to`, which returns from its system call with it. */
static void transfer(struct thread *from, struct thread *to, uint64_t badge)
{
    if (from->fault.label != 0) {
        message_answer(to, from->fault.label, from->fault.length, from->fault.mr);
    } else {
        uint64_t tag = from->context.x[1];
        uint64_t length = tag_length(tag);
        for (uint64_t i = 0; i < length; i++) {
            message_set(to, i, message_word(from, i));
        }
        to->context.x[1] = (tag & ~0xffful) | length;
    }
    to->context.x[0] = badge;
}

static void wake(struct thread *thread)
{
    thread->state = RUNNABLE;
    schedule_wake(thread);
}

static void stop(struct thread *thread, enum thread_state state)
{
    thread->state = state;
    schedule_stop(thread);
}

/* After the message of a call or fault has arrived: the caller waits for the answer. */
static void await_reply(struct thread *caller, struct thread *receiver, struct reply *reply)
{
    if (reply == NULL) { /* received with Wait: nobody can answer */
        stop(caller, INACTIVE);
        return;
    }
    reply->caller = caller;
    caller->awaits = reply;
    stop(caller, BLOCKED_REPLY);
    reply->donated = NULL;
    if (receiver->budget == NULL && caller->budget != NULL) {
        reply->donated = budget_take(caller);
        budget_give(reply->donated, receiver);
    }
}

void ipc_send(struct endpoint *endpoint, struct thread *sender, uint64_t badge, bool blocking, bool call)
{
    struct thread *receiver = endpoint->receivers.head;
    if (receiver == NULL) {
        if (blocking) {
            stop(sender, BLOCKED_SEND);
            sender->endpoint = endpoint;
            sender->badge = badge;
            sender->is_call = call;
            queue_insert(&endpoint->senders, sender);
        }
        return;
    }
    queue_remove(receiver);
    struct reply *reply = receiver->offers;
    receiver->offers = NULL;
    receiver->endpoint = NULL;
    if (reply) {
        reply->receiver = NULL;
    }
    transfer(sender, receiver, badge);
    receiver->state = RUNNABLE;
    if (call) {
        await_reply(sender, receiver, reply);
    }
    schedule_wake(receiver);
}

/* A budget that was lent through `reply` goes back to its owner from whoever has it now. */
static void return_budget(struct reply *reply, struct thread *owner)
{
    struct budget *lent = reply->donated;
    reply->donated = NULL;
    if (lent && owner->budget == NULL) {
        if (lent->thread) {
            (void)budget_take(lent->thread);
        }
        budget_give(lent, owner);
    }
}

/* Forgets who waits for an answer through `reply`. */
static void drop_caller(struct reply *reply)
{
    struct thread *caller = reply->caller;
    if (caller) {
        reply->caller = NULL;
        caller->awaits = NULL;
        caller->fault.label = 0;
        stop(caller, INACTIVE);
        return_budget(reply, caller);
    }
}

void ipc_receive(struct endpoint *endpoint, struct thread *receiver, struct reply *reply, bool blocking)
{
    if (reply) {
        drop_caller(reply);
        if (reply->receiver && reply->receiver != receiver) {
            ipc_cancel(reply->receiver);
        }
    }
    struct notification *bound = receiver->notification;
    if (bound && bound->active) {
        receiver->context.x[0] = bound->word;
        receiver->context.x[1] = 0;
        bound->word = 0;
        bound->active = false;
        return;
    }
    struct thread *sender = endpoint->senders.head;
    if (sender) {
        queue_remove(sender);
        sender->endpoint = NULL;
        transfer(sender, receiver, sender->badge);
        if (sender->is_call) {
            await_reply(sender, receiver, reply);
        } else {
            wake(sender);
        }
        return;
    }
    if (!blocking) {
        receiver->context.x[0] = 0;
        return;
    }
    stop(receiver, BLOCKED_RECEIVE);
    receiver->endpoint = endpoint;
    receiver->offers = reply;
    if (reply) {
        reply->receiver = receiver;
    }
    queue_insert(&endpoint->receivers, receiver);
    /* A passive domain that ran on its notification's budget gives it back when it waits. */
    if (bound && bound->budget && receiver->budget == bound->budget) {
        (void)budget_take(receiver);
    }
}

void ipc_reply(struct reply *reply, struct thread *replier)
{
    struct thread *caller = reply->caller;
    if (caller == NULL) {
        return;
    }
    reply->caller = NULL;
    caller->awaits = NULL;
    return_budget(reply, caller);
    if (caller->fault.label != 0) {
        if (fault_resume(caller, replier)) {
            wake(caller);
        } else {
            stop(caller, INACTIVE);
        }
        return;
    }
    transfer(replier, caller, 0);
    wake(caller);
}

void ipc_cancel(struct thread *thread)
{
    switch (thread->state) {
    case BLOCKED_SEND:
    case BLOCKED_RECEIVE:
    case BLOCKED_NOTIFICATION:
        queue_remove(thread);
        if (thread->offers) {
            thread->offers->receiver = NULL;
        }
        break;
    case BLOCKED_REPLY:
        if (thread->awaits) {
            struct reply *reply = thread->awaits;
            drop_caller(reply);
        }
        break;
    case INACTIVE:
    case RUNNABLE:
        break;
    }
    thread->endpoint = NULL;
    thread->waits_on = NULL;
    thread->offers = NULL;
    thread->awaits = NULL;
    thread->fault.label = 0;
}

/* Lends a passive thread the notification's budget. */
static void deliver(struct notification *notification, struct thread *thread, uint64_t badge)
{
    thread->context.x[0] = badge;
    thread->context.x[1] = 0;
    thread->state = RUNNABLE;
    if (thread->budget == NULL && notification->budget && notification->budget->thread == NULL) {
        budget_give(notification->budget, thread);
    }
    schedule_wake(thread);
}

void notification_signal(struct notification *notification, uint64_t badge)
{
    struct thread *bound = notification->bound;
    if (bound && bound->state == BLOCKED_RECEIVE) {
        ipc_cancel(bound);
        deliver(notification, bound, badge);
        return;
    }
    struct thread *waiter = notification->waiters.head;
    if (waiter) {
        ipc_cancel(waiter);
        deliver(notification, waiter, badge);
        return;
    }
    notification->word |= badge;
    notification->active = true;
}

void notification_wait(struct notification *notification, struct thread *thread, bool blocking)
{
    if (notification->active) {
        thread->context.x[0] = notification->word;
        thread->context.x[1] = 0;
        notification->word = 0;
        notification->active = false;
        return;
    }
    if (!blocking) {
        thread->context.x[0] = 0;
        return;
    }
    stop(thread, BLOCKED_NOTIFICATION);
    thread->waits_on = notification;
    queue_insert(&notification->waiters, thread);
    if (notification->budget && thread->budget == notification->budget) {
        (void)budget_take(thread);
    }
}
