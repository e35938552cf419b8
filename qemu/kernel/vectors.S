/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the machine enters the kernel: the image's first bytes, boot, exception vectors, the way back to EL0.
 *
 * The image has the header of an arm64 Linux image (Documentation/arch/arm64/booting.rst of Linux describes the
 * format), so that QEMU's -kernel loads it. Boot runs with the MMU off at the physical address; the kernel proper runs
 * at KERNEL_BASE + physical address through TTBR1. While a thread runs, SP_EL1 points to its struct thread.
 */
#include "layout.h"

#define PAGE_DEVICE_BLOCK 0x0060000000000401 /* 1 GiB, device, EL1 rw, never executed */
#define PAGE_NORMAL_BLOCK 0x0040000000000705 /* 1 GiB, normal memory, EL1 rwx, EL0 nothing */

    .section ".text.head", "ax"
    .global kernel_image
kernel_image:
    b boot
    .word 0
    .quad IMAGE_OFFSET    /* from the start of RAM */
    .quad kernel_size     /* bytes in memory */
    .quad 0xa             /* little endian, 4 KiB pages, may lie anywhere */
    .quad 0, 0, 0
    .word 0x644d5241 /* "ARM\x64" */
    .word 0

boot:
    mrs x0, CurrentEL
    cmp x0, #(2 << 2)
    b.ne 1f
    /* Entered at EL2 (QEMU with virtualization=on): go down to EL1 and leave EL2 empty. */
    mov x0, #(1 << 31)
    msr hcr_el2, x0
    mov x0, #3
    msr cnthctl_el2, x0
    msr cntvoff_el2, xzr
    mov x0, #0x33ff
    msr cptr_el2, x0
    msr hstr_el2, xzr
    mov x0, #0x3c5
    msr spsr_el2, x0
    adr x0, 1f
    msr elr_el2, x0
    eret
1:
    msr daifset, #0xf
    /* Clear .bss: the image does not hold it. */
    adrp x0, bss_start
    add x0, x0, :lo12:bss_start
    adrp x1, bss_end
    add x1, x1, :lo12:bss_end
2:  cmp x0, x1
    b.hs 3f
    str xzr, [x0], #8
    b 2b
3:
    ldr x0, =0x44ff00 /* attributes: 0 device nGnRnE, 1 normal write-back, 2 normal non-cacheable */
    msr mair_el1, x0
    /* 40-bit user half, 39-bit kernel half, 4 KiB pages, 40-bit physical addresses, cached table walks. */
    ldr x0, =(24 | (1 << 8) | (1 << 10) | (3 << 12) | (25 << 16) | (1 << 24) | (1 << 26) | (3 << 28) | (2 << 30) | (2 << 32))
    msr tcr_el1, x0
    adrp x0, boot_table0
    msr ttbr0_el1, x0
    adrp x0, boot_table1
    msr ttbr1_el1, x0
    /* boot_table0 (512 GiB each) needs the address of boot_table1. */
    adrp x1, boot_table0
    orr x0, x0, #3
    str x0, [x1]
    dsb sy
    tlbi vmalle1
    ic iallu
    dsb sy
    isb
    mov x0, #(3 << 20)
    msr cpacr_el1, x0
    /* M C I; EL0 may use CTR and cache maintenance and wait; no DC ZVA, as on the genuine kernel; the rest is RES1. */
    ldr x0, =(1 | (1 << 2) | (1 << 12) | (1 << 15) | (1 << 16) | (1 << 18) | (1 << 26) | (1 << 11) | (1 << 20) | (1 << 22) | (1 << 23) | (1 << 28) | (1 << 29))
    msr sctlr_el1, x0
    isb
    ldr x0, =vectors
    msr vbar_el1, x0
    ldr x0, =kernel_stack_top
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    ldr x0, =kernel_main
    br x0
    .ltorg

    .macro enter kind
    .balign 128
    stp x0, x1, [sp, #0]
    stp x2, x3, [sp, #16]
    mov x1, #\kind
    b entry
    .endm
    .macro bad
    .balign 128
    b entry_bad
    .endm

    .balign 2048
    .global vectors
vectors:
    bad                 /* EL1 with SP_EL0: never used */
    bad
    bad
    bad
    bad                 /* EL1: a fault of the kernel itself */
    bad
    bad
    bad
    enter 0             /* EL0 AArch64: synchronous */
    enter 1             /* interrupt */
    enter 2             /* fast interrupt */
    enter 3             /* system error */
    bad                 /* EL0 AArch32: never started */
    bad
    bad
    bad

entry:
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x2, sp_el0
    stp x30, x2, [sp, #240]
    mrs x3, elr_el1
    mrs x4, spsr_el1
    stp x3, x4, [sp, #256]
    mov x0, sp
    ldr x5, =kernel_stack_top
    mov sp, x5
    bl kernel_entry
    /* x0: the context to go on with */
    .global leave
leave:
    mov sp, x0
    ldp x3, x4, [sp, #256]
    msr elr_el1, x3
    msr spsr_el1, x4
    ldp x30, x2, [sp, #240]
    msr sp_el0, x2
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldp x0, x1, [sp, #0]
    eret

entry_bad:
    ldr x5, =kernel_stack_top
    mov sp, x5
    mrs x0, esr_el1
    mrs x1, elr_el1
    mrs x2, far_el1
    b kernel_trouble
    .ltorg

    .macro fpu_registers op
    add x1, x0, #288 /* struct context: q */
    \op q0, q1, [x1, #0]
    \op q2, q3, [x1, #32]
    \op q4, q5, [x1, #64]
    \op q6, q7, [x1, #96]
    \op q8, q9, [x1, #128]
    \op q10, q11, [x1, #160]
    \op q12, q13, [x1, #192]
    \op q14, q15, [x1, #224]
    \op q16, q17, [x1, #256]
    \op q18, q19, [x1, #288]
    \op q20, q21, [x1, #320]
    \op q22, q23, [x1, #352]
    \op q24, q25, [x1, #384]
    \op q26, q27, [x1, #416]
    \op q28, q29, [x1, #448]
    \op q30, q31, [x1, #480]
    add x1, x1, #512 /* fpsr, fpcr */
    .endm

    .global fpu_save
fpu_save:
    fpu_registers stp
    mrs x2, fpsr
    mrs x3, fpcr
    stp x2, x3, [x1]
    ret

    .global fpu_load
fpu_load:
    fpu_registers ldp
    ldp x2, x3, [x1]
    msr fpsr, x2
    msr fpcr, x3
    ret

    .data
    .balign 4096
    .global boot_table0
boot_table0:
    .fill 512, 8, 0
    .global boot_table1
boot_table1:
    .quad PAGE_DEVICE_BLOCK
    .quad PAGE_NORMAL_BLOCK + RAM_BASE
    .fill 510, 8, 0

    .bss
    .balign 16
    .space 16384
kernel_stack_top:
