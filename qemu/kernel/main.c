/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From boot to the first thread, and every entry from EL0 after that: handle the one thing that happened, then let
 * schedule() say who goes on. Exceptions of the kernel itself end in a line on the UART.
 */
#include "kernel.h"

enum { KIND_SYNCHRONOUS = 0, KIND_SYSTEM_ERROR = 3, EC_SVC = 0x15 };

_Noreturn void leave(struct context *context);
_Noreturn void kernel_trouble(uint64_t esr, uint64_t pc, uint64_t far);

void kernel_main(void)
{
    /* EL0: the physical counter and timer, not the virtual ones (CNTKCTL_EL1: EL0PCTEN, EL0PTEN). */
    __asm__ volatile("msr cntkctl_el1, %0\n\tmsr cntv_ctl_el0, %1\n\tmsr cntp_ctl_el0, %1" ::"r"(1ul | 1ul << 9), "r"(0ul));
    gic_init();
    setup();
    now = clock_now();
    leave(&schedule()->context);
}

struct context *kernel_entry(struct context *context, uint64_t kind)
{
    struct thread *thread = (struct thread *)context;
    now = clock_now();
    if (kind == KIND_SYNCHRONOUS || kind == KIND_SYSTEM_ERROR) {
        uint64_t esr;
        uint64_t far;
        __asm__ volatile("mrs %0, esr_el1\n\tmrs %1, far_el1" : "=r"(esr), "=r"(far));
        if (kind == KIND_SYNCHRONOUS && (esr >> 26 & 0x3fu) == EC_SVC) {
            thread->restart_pc = context->pc - 4;
            syscall(thread);
        } else {
            thread->restart_pc = context->pc;
            fault_from_exception(thread, esr, far);
        }
    } else {
        gic_handle();
    }
    return &schedule()->context;
}

_Noreturn void kernel_trouble(uint64_t esr, uint64_t pc, uint64_t far)
{
    print("\nstand-in kernel: exception in the kernel: esr ");
    print_hex(esr);
    print(" pc ");
    print_hex(pc);
    print(" address ");
    print_hex(far);
    panic("stopped (less RAM than the image was built for?)");
}
