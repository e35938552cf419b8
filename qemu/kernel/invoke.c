/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invocations of thread and interrupt capabilities: the methods that Microkit's API and our supervisor use.
 * Every other method answers seL4_IllegalOperation.
 */
#include "kernel.h"

#include <sel4/constants.h>
#include <sel4/types.h>

enum { REGISTERS = sizeof(seL4_UserContext) / sizeof(seL4_Word) };

/* Place of word i of seL4_UserContext: pc sp spsr x0-x8 x16-x18 x29 x30 x9-x15 x19-x28 tpidr_el0 tpidrro_el0. */
static uint64_t *register_at(struct thread *thread, unsigned i)
{
    struct context *c = &thread->context;
    if (i == 0) {
        return &thread->restart_pc;
    }
    if (i == 1) {
        return &c->sp;
    }
    if (i == 2) {
        return &c->spsr;
    }
    if (i < 12) {
        return &c->x[i - 3];
    }
    if (i < 15) {
        return &c->x[16 + i - 12];
    }
    if (i < 17) {
        return &c->x[29 + i - 15];
    }
    if (i < 24) {
        return &c->x[9 + i - 17];
    }
    if (i < 34) {
        return &c->x[19 + i - 24];
    }
    return i == 34 ? &c->tpidr : &c->tpidrro;
}

static void suspend(struct thread *target)
{
    if (target->state == RUNNABLE) {
        target->restart_pc = target->context.pc; /* its last system call, if any, is over */
    }
    ipc_cancel(target);
    target->state = INACTIVE;
    schedule_stop(target);
}

static void resume(struct thread *target)
{
    if (target->state == RUNNABLE) {
        return;
    }
    ipc_cancel(target);
    target->context.pc = target->restart_pc;
    target->state = RUNNABLE;
    schedule_wake(target);
}

static uint64_t read_registers(struct thread *caller, struct thread *target, uint64_t length, struct answer *answer)
{
    if (length < 2) {
        return seL4_TruncatedMessage;
    }
    uint64_t flags = message_word(caller, 0);
    uint64_t count = message_word(caller, 1);
    if (count < 1 || count > REGISTERS) {
        return seL4_RangeError;
    }
    if (target == caller) {
        return seL4_IllegalOperation;
    }
    if (flags & 1u) {
        suspend(target);
    } else if (target->state == RUNNABLE) {
        target->restart_pc = target->context.pc;
    }
    answer->length = count;
    for (unsigned i = 0; i < count; i++) {
        answer->mr[i] = *register_at(target, i);
    }
    return seL4_NoError;
}

static uint64_t write_registers(struct thread *caller, struct thread *target, uint64_t length)
{
    if (length < 2) {
        return seL4_TruncatedMessage;
    }
    uint64_t flags = message_word(caller, 0);
    uint64_t count = message_word(caller, 1);
    if (length - 2 < count) {
        return seL4_TruncatedMessage;
    }
    if (target == caller) {
        return seL4_IllegalOperation;
    }
    for (unsigned i = 0; i < count && i < REGISTERS; i++) {
        uint64_t word = message_word(caller, 2 + i);
        *register_at(target, i) = i == 2 ? user_spsr(word) : word;
    }
    if (count > 0) {
        target->context.pc = target->restart_pc;
    }
    if (flags & 1u) {
        resume(target);
    }
    return seL4_NoError;
}

static uint64_t set_priority(const struct thread *caller, struct thread *target, uint64_t info)
{
    enum { EXTRA_CAPS = 122 }; /* word of the IPC buffer: behind tag, message and user data */
    if ((info & 0x7fu) < 1 || (info >> 7 & 3u) < 1) {
        return seL4_TruncatedMessage;
    }
    const struct cap *authority = lookup(caller, caller->ipc_buffer[EXTRA_CAPS]);
    uint64_t priority = message_word(caller, 0);
    if (authority == NULL || authority->type != CAP_THREAD) {
        return seL4_InvalidCapability;
    }
    if (priority > ((const struct thread *)authority->object)->max_priority) {
        return seL4_RangeError;
    }
    schedule_priority(target, (unsigned)priority);
    return seL4_NoError;
}

uint64_t invoke(struct thread *caller, const struct cap *cap, uint64_t info, struct answer *answer)
{
    uint64_t label = info >> 12;
    uint64_t length = info & 0x7fu;
    if (cap->type == CAP_IRQ && label == IRQAckIRQ) {
        gic_acknowledge((unsigned)cap->badge);
        return seL4_NoError;
    }
    if (cap->type == CAP_THREAD) {
        struct thread *target = cap->object;
        switch (label) {
        case TCBReadRegisters:
            return read_registers(caller, target, length, answer);
        case TCBWriteRegisters:
            return write_registers(caller, target, length);
        case TCBSetPriority:
            return set_priority(caller, target, info);
        case TCBSuspend:
            suspend(target);
            return seL4_NoError;
        case TCBResume:
            resume(target);
            return seL4_NoError;
        default:
            break;
        }
    }
    return seL4_IllegalOperation;
}
