/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults as messages: what EL0 did wrong, told to the domain's parent in the layouts of libsel4's constants.h, and what
 * the parent answers (seL4 reference manual, "Faults").
 *
 * Which label an exception gets is the genuine hypervisor kernel's choice as measured on it: unknown and undefined
 * instructions are user exceptions; trapped system registers, BRK and a misaligned pc are VCPU faults that carry ESR.
 * A fault of a domain without a parent is printed and stops it, as Microkit's monitor does.
 */
#include "kernel.h"

#include <sel4/constants.h>

/* Exception classes (Arm ARM, ESR_EL1). */
enum { EC_UNKNOWN = 0x00, EC_INSTRUCTION_ABORT = 0x20, EC_DATA_ABORT = 0x24 };

void fault_raise(struct thread *thread, uint64_t label, uint64_t length)
{
    thread->fault.label = label;
    thread->fault.length = length;
    if (thread->fault_endpoint) {
        ipc_send(thread->fault_endpoint, thread, thread->fault_badge, true, true);
        return;
    }
    print("stand-in kernel: domain '");
    print(thread->name);
    print("' faulted and is stopped: label ");
    print_hex(label);
    print(" pc ");
    print_hex(thread->restart_pc);
    for (uint64_t i = 1; i < length && i < 4; i++) {
        print(" ");
        print_hex(thread->fault.mr[i]);
    }
    print("\n");
    thread->fault.label = 0;
    thread->state = INACTIVE;
    schedule_stop(thread);
}

void fault_from_exception(struct thread *thread, uint64_t esr, uint64_t far)
{
    struct context *context = &thread->context;
    uint64_t *mr = thread->fault.mr;
    switch (esr >> 26 & 0x3fu) {
    case EC_DATA_ABORT:
    case EC_INSTRUCTION_ABORT:
        mr[0] = context->pc;
        mr[1] = far;
        mr[2] = (esr >> 26 & 0x3fu) == EC_INSTRUCTION_ABORT;
        /* Beyond the 40 bits the genuine kernel's stage 2 tables say "address size fault"; ours can't be asked. */
        mr[3] = esr & (far >= USER_TOP ? 0xffffffc0ul : 0xfffffffful);
        fault_raise(thread, seL4_Fault_VMFault, 4);
        return;
    case EC_UNKNOWN:
        mr[0] = context->pc;
        mr[1] = context->sp;
        mr[2] = context->spsr;
        mr[3] = esr & 0xfffffffful;
        mr[4] = 0;
        fault_raise(thread, seL4_Fault_UserException, 5);
        return;
    default:
        mr[0] = esr & 0xfffffffful;
        fault_raise(thread, seL4_Fault_VCPUFault, 1);
        return;
    }
}

void fault_cap(struct thread *thread, uint64_t cptr, bool receiving)
{
    uint64_t *mr = thread->fault.mr;
    mr[0] = thread->restart_pc;
    mr[1] = cptr;
    mr[2] = receiving;
    mr[3] = seL4_InvalidRoot; /* what the genuine kernel says in a Microkit CSpace, whatever is wrong */
    fault_raise(thread, seL4_Fault_CapFault, 4);
}

void fault_unknown_syscall(struct thread *thread)
{
    struct context *context = &thread->context;
    uint64_t *mr = thread->fault.mr;
    for (unsigned i = 0; i < 8; i++) {
        mr[i] = context->x[i];
    }
    mr[8] = thread->restart_pc;
    mr[9] = context->sp;
    mr[10] = context->pc;
    mr[11] = context->spsr;
    mr[12] = context->x[7];
    fault_raise(thread, seL4_Fault_UnknownSyscall, 13);
}

bool fault_resume(struct thread *thread, const struct thread *replier)
{
    struct context *context = &thread->context;
    uint64_t tag = replier->context.x[1];
    uint64_t length = tag & 0x7fu;
    uint64_t label = thread->fault.label;
    thread->fault.label = 0;
    if (label == seL4_Fault_UnknownSyscall) {
        for (uint64_t i = 0; i < length && i < 12; i++) {
            uint64_t word = message_word(replier, i);
            if (i < 8) {
                context->x[i] = word;
            } else if (i == 8) {
                thread->restart_pc = word;
            } else if (i == 9) {
                context->sp = word;
            } else if (i == 11) {
                context->spsr = user_spsr(word);
            }
        }
    } else if (label == seL4_Fault_UserException) {
        for (uint64_t i = 0; i < length && i < 3; i++) {
            uint64_t word = message_word(replier, i);
            if (i == 0) {
                thread->restart_pc = word;
            } else if (i == 1) {
                context->sp = word;
            } else {
                context->spsr = user_spsr(word);
            }
        }
    }
    context->pc = thread->restart_pc;
    /* Only these two kinds can be refused: the others start again whatever the answer's label. */
    return tag >> 12 == 0 || (label != seL4_Fault_UnknownSyscall && label != seL4_Fault_UserException);
}
