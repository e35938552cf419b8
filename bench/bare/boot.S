/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a statically linked Linux program on QEMU's `virt` machine without an operating system: identity map, floating
 * point, vectors, then the program's own _start at EL1. Its system calls (svc) come to bare_syscall() in system.c.
 * Source: Arm Architecture Reference Manual (DDI 0487), D13 for the registers, D8 for the translation table format.
 */
    .section .text.bare, "ax"
    .global bare_start
bare_start:
    msr     spsel, #1
    adrp    x0, bare_stack_top
    add     x0, x0, :lo12:bare_stack_top
    mov     sp, x0
    mov     x0, #(3 << 20)              /* CPACR_EL1.FPEN: no trap on floating point */
    msr     cpacr_el1, x0
    adrp    x0, vectors
    add     x0, x0, :lo12:vectors
    msr     vbar_el1, x0
    isb

    /* Level 1 table, 1 GiB blocks: 0 device memory, 1 to 4 RAM, the rest invalid. */
    adrp    x0, table
    add     x0, x0, :lo12:table
    mov     x1, #0x401                  /* AF, attribute 0, block */
    movk    x1, #0x60, lsl #48          /* UXN, PXN */
    str     x1, [x0]
    mov     x2, #1
1:  lsl     x1, x2, #30
    movk    x1, #0x705                  /* AF, inner shareable, attribute 1, block */
    str     x1, [x0, x2, lsl #3]
    add     x2, x2, #1
    cmp     x2, #5
    b.ne    1b
    msr     ttbr0_el1, x0
    mov     x1, #0xff00                 /* attribute 0: device nGnRnE, 1: normal write-back */
    msr     mair_el1, x1
    ldr     x1, =0x200803519            /* T0SZ 25, write-back inner shareable walks, 4 KiB, EPD1, 40 bits */
    msr     tcr_el1, x1
    dsb     sy
    isb
    tlbi    vmalle1
    dsb     sy
    mrs     x1, sctlr_el1
    mov     x2, #0x1005                 /* I, C, M */
    orr     x1, x1, x2
    bic     x1, x1, #2                  /* no alignment check */
    msr     sctlr_el1, x1
    isb

    mov     x0, sp
    bl      bare_arguments              /* lays argc, argv, auxv below the address given */
    mov     sp, x0
    mov     x29, #0
    mov     x30, #0
    b       _start

    .balign 2048
vectors:
    .rept   4
    mov     x0, #0
    b       bare_unexpected
    .balign 128
    .endr
    /* synchronous, from EL1 with its own stack pointer */
    sub     sp, sp, #192
    stp     x1, x2, [sp]
    stp     x3, x4, [sp, #16]
    stp     x5, x6, [sp, #32]
    stp     x7, x8, [sp, #48]
    stp     x9, x10, [sp, #64]
    stp     x11, x12, [sp, #80]
    stp     x13, x14, [sp, #96]
    stp     x15, x16, [sp, #112]
    stp     x17, x18, [sp, #128]
    stp     x29, x30, [sp, #144]
    mrs     x9, esr_el1
    lsr     x10, x9, #26
    cmp     x10, #0x15                  /* SVC in AArch64 state */
    b.ne    bare_fault
    mrs     x9, elr_el1
    mrs     x10, spsr_el1
    b       2f
    .balign 128
    .rept   11
    mov     x0, #1
    b       bare_unexpected
    .balign 128
    .endr
2:  stp     x9, x10, [sp, #160]
    mov     x6, x8
    bl      bare_syscall                /* result in x0; built without floating point, so q0-q31 stay */
    ldp     x9, x10, [sp, #160]
    msr     elr_el1, x9
    msr     spsr_el1, x10
    ldp     x1, x2, [sp]
    ldp     x3, x4, [sp, #16]
    ldp     x5, x6, [sp, #32]
    ldp     x7, x8, [sp, #48]
    ldp     x9, x10, [sp, #64]
    ldp     x11, x12, [sp, #80]
    ldp     x13, x14, [sp, #96]
    ldp     x15, x16, [sp, #112]
    ldp     x17, x18, [sp, #128]
    ldp     x29, x30, [sp, #144]
    add     sp, sp, #192
    eret
bare_fault:
    mov     x0, x9
    mrs     x1, elr_el1
    mrs     x2, far_el1
    b       bare_report_fault

    .bss
    .balign 4096
table:
    .skip   4096
    .skip   1048576
bare_stack_top:
    .skip   16

    .section .note.GNU-stack, "", %progbits
