/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Invocations of thread and interrupt capabilities: the methods that Microkit's API and our supervisor use.
 * Every other method answers seL4_IllegalOperation.
 */
#include "kernel.h"

enum {
    TCB_READ_REGISTERS = 2,
    TCB_WRITE_REGISTERS = 3,
    TCB_SUSPEND = 12,
    TCB_RESUME = 13,
    IRQ_ACK = 26,

    ERROR_NONE = 0,
    ERROR_ILLEGAL_OPERATION = 3,
    ERROR_RANGE = 4,
    ERROR_TRUNCATED_MESSAGE = 7,

    REGISTERS = 36, /* words of seL4_UserContext */
};
#define SPSR_USER_BITS 0xf0000000u /* N Z C V */
#define SPSR_FIXED 0x140u

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
        return ERROR_TRUNCATED_MESSAGE;
    }
    uint64_t flags = message_word(caller, 0);
    uint64_t count = message_word(caller, 1);
    if (count < 1 || count > REGISTERS) {
        return ERROR_RANGE;
    }
    if (target == caller) {
        return ERROR_ILLEGAL_OPERATION;
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
    return ERROR_NONE;
}

static uint64_t write_registers(struct thread *caller, struct thread *target, uint64_t length)
{
    if (length < 2) {
        return ERROR_TRUNCATED_MESSAGE;
    }
    uint64_t flags = message_word(caller, 0);
    uint64_t count = message_word(caller, 1);
    if (length - 2 < count) {
        return ERROR_TRUNCATED_MESSAGE;
    }
    if (target == caller) {
        return ERROR_ILLEGAL_OPERATION;
    }
    for (unsigned i = 0; i < count && i < REGISTERS; i++) {
        uint64_t word = message_word(caller, 2 + i);
        *register_at(target, i) = i == 2 ? (word & SPSR_USER_BITS) | SPSR_FIXED : word;
    }
    if (count > 0) {
        target->context.pc = target->restart_pc;
    }
    if (flags & 1u) {
        resume(target);
    }
    return ERROR_NONE;
}

uint64_t invoke(struct thread *caller, const struct cap *cap, uint64_t info, struct answer *answer)
{
    uint64_t label = info >> 12;
    uint64_t length = info & 0x7fu;
    if (cap->type == CAP_IRQ && label == IRQ_ACK) {
        gic_acknowledge((unsigned)cap->badge);
        return ERROR_NONE;
    }
    if (cap->type == CAP_THREAD) {
        struct thread *target = cap->object;
        switch (label) {
        case TCB_READ_REGISTERS:
            return read_registers(caller, target, length, answer);
        case TCB_WRITE_REGISTERS:
            return write_registers(caller, target, length);
        case TCB_SUSPEND:
            suspend(target);
            return ERROR_NONE;
        case TCB_RESUME:
            resume(target);
            return ERROR_NONE;
        default:
            break;
        }
    }
    return ERROR_ILLEGAL_OPERATION;
}
