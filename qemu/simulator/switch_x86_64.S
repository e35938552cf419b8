/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void sb_switch(uintptr_t *from, uintptr_t to): see context.c, which knows this frame.
 * What the callee saves: System V Application Binary Interface, AMD64 supplement, section 3.2.1.
 */
    .text
    .globl sb_switch
    .type sb_switch, @function
    .p2align 4
sb_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    stmxcsr (%rsp)
    fnstcw 4(%rsp)
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size sb_switch, . - sb_switch
    .section .note.GNU-stack,"",@progbits
