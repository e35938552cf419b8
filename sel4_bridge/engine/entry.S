/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sb_engine_entry: where the supervisor restarts an engine (microkit_pd_restart). The restart sets the program counter
 * alone; a stack of the domain's own, and libmicrokit's entry point makes everything else anew, init() included.
 */
    .text
    .global sb_engine_entry
    .type sb_engine_entry, %function
    .balign 4
sb_engine_entry:
    adrp x9, sb_engine_stack_top
    add x9, x9, :lo12:sb_engine_stack_top
    mov sp, x9
    mov x29, xzr
    mov x30, xzr
    b _start
    .size sb_engine_entry, . - sb_engine_entry

    .bss
    .balign 4096
    .skip 16384
    .global sb_engine_stack_top
sb_engine_stack_top:
