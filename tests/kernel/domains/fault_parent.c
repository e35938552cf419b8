/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conformance, parent of fault_child: prints every fault as it arrives and lets the child go on with its next step.
 * FSR is printed without the bits that only a stage 2 abort has (ISV and what it covers).
 */
#include "faults.h"
#include "say.h"

uintptr_t uart_base;
uintptr_t notes_base;

enum { CHILD = 3, ON_TIMER = 1 };

static void arm_timer(uint64_t ms)
{
    __asm__ volatile("msr cntp_cval_el0, %0\n\tmsr cntp_ctl_el0, %1" ::"r"(ticks() + ms * ticks_per_ms()), "r"(1ul));
}

void init(void)
{
    say("parent: up\n");
}

static void say_fault(const volatile struct notes *notes, uint64_t label, uint64_t length)
{
    say("parent: step ");
    say_number(notes->step);
    say(": label ");
    say_number(label);
    say(" length ");
    say_number(length);
    seL4_UserContext context;
    uint64_t mr[16];
    for (uint64_t i = 0; i < length && i < 16; i++) {
        mr[i] = microkit_mr_get((seL4_Uint8)i);
    }
    seL4_Error error = seL4_TCB_ReadRegisters(BASE_TCB_CAP + CHILD, 0, 0, 36, &context);
    if (error != seL4_NoError) {
        say_value("ReadRegisters", error);
    }
    say(context.pc == notes->expected_pc ? " at the expected pc" : " at another pc");
    switch (label) {
    case seL4_Fault_VMFault:
        say(mr[seL4_VMFault_IP] == context.pc ? "" : " (ip differs)");
        say_value("address", mr[seL4_VMFault_Addr] == notes->expected_address ? 0 : mr[seL4_VMFault_Addr]);
        say_value("instruction", mr[seL4_VMFault_PrefetchFault]);
        say_value("class", mr[seL4_VMFault_FSR] >> 26);
        say_value("status", mr[seL4_VMFault_FSR] & 0x7fu);
        break;
    case seL4_Fault_UserException:
        say_value("number", mr[seL4_UserException_Number]);
        say_value("code", mr[seL4_UserException_Code]);
        say_value("sp", mr[seL4_UserException_SP] == context.sp);
        break;
    case seL4_Fault_UnknownSyscall:
        say_value("x0", mr[seL4_UnknownSyscall_X0]);
        say_value("x7", mr[seL4_UnknownSyscall_X7]);
        say_value("syscall", mr[seL4_UnknownSyscall_Syscall]);
        say_value("next", mr[seL4_UnknownSyscall_LR] - mr[seL4_UnknownSyscall_FaultIP]);
        break;
    case seL4_Fault_CapFault:
        say_value("cptr", mr[seL4_CapFault_Addr]);
        say_value("receiving", mr[seL4_CapFault_InRecvPhase]);
        say_value("type", mr[seL4_CapFault_LookupFailureType]);
        for (uint64_t i = seL4_CapFault_BitsLeft; i < length && i < 7; i++) {
            say_value("bits", mr[i]);
        }
        break;
    case seL4_Fault_VCPUFault:
        say_value("hsr", mr[seL4_VCPUFault_HSR] & ~(31ul << 5)); /* without Rt */
        break;
    default:
        break;
    }
    say("\n");
}

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply)
{
    volatile struct notes *notes = (volatile struct notes *)notes_base;
    uint64_t label = microkit_msginfo_get_label(msginfo);
    if (child != CHILD) {
        say("parent: unknown child\n");
    }
    say_fault(notes, label, microkit_msginfo_get_count(msginfo));
    if (notes->mode == MODE_REPLY_NEXT) { /* skip the instruction through the answer */
        seL4_UserContext context;
        (void)seL4_TCB_ReadRegisters(BASE_TCB_CAP + CHILD, 0, 0, 36, &context);
        if (label == seL4_Fault_UnknownSyscall) {
            for (seL4_Uint8 i = 0; i < 8; i++) {
                microkit_mr_set(i, 0x70u + i);
            }
            microkit_mr_set(seL4_UnknownSyscall_FaultIP, context.pc + 4);
            microkit_mr_set(seL4_UnknownSyscall_SP, context.sp);
            microkit_mr_set(seL4_UnknownSyscall_LR, 0);
            microkit_mr_set(seL4_UnknownSyscall_SPSR, context.spsr);
            *reply = microkit_msginfo_new(0, 12);
        } else {
            microkit_mr_set(seL4_UserException_FaultIP, context.pc + 4);
            microkit_mr_set(seL4_UserException_SP, context.sp);
            microkit_mr_set(seL4_UserException_SPSR, context.spsr);
            *reply = microkit_msginfo_new(0, 3);
        }
        return seL4_True;
    }
    if (notes->mode == MODE_REPLY_AGAIN) { /* the instruction runs again: the child changes its mind by itself */
        notes->mode = MODE_RESTART;
        microkit_pd_restart(child, notes->next_pc);
        *reply = microkit_msginfo_new(0, 0);
        return seL4_False;
    }
    microkit_pd_restart(child, notes->next_pc);
    return seL4_False;
}

/* The child asks for something that takes time: it spins, we stop it and look. */
void notified(microkit_channel ch)
{
    volatile struct notes *notes = (volatile struct notes *)notes_base;
    if (ch == 0) {
        say("parent: the child spins\n");
        arm_timer(20);
        return;
    }
    if (ch != ON_TIMER) {
        return;
    }
    __asm__ volatile("msr cntp_ctl_el0, %0" ::"r"(0ul));
    microkit_irq_ack(ON_TIMER);
    static unsigned phase;
    static uint64_t before;
    if (phase == 0) {
        microkit_pd_stop(CHILD);
        before = notes->spins;
        say(before > 1000 ? "parent: stopped it while it spun\n" : "parent: it did not spin\n");
    } else if (phase == 1) {
        say(notes->spins == before ? "parent: it stands still\n" : "parent: it moved\n");
        say(seL4_TCB_Resume(BASE_TCB_CAP + CHILD) == seL4_NoError ? "parent: resumed it\n" : "parent: no resume\n");
    } else if (phase == 2) {
        say(notes->spins > before ? "parent: it spins on\n" : "parent: it stays still\n");
        microkit_pd_restart(CHILD, notes->next_pc); /* of a running child */
        return;
    }
    phase++;
    arm_timer(20);
}
