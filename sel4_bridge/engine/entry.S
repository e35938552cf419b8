/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sb_engine_entry: where the supervisor restarts an engine (microkit_pd_restart). The restart sets the program counter
 * alone; a stack of the domain's own, and libmicrokit's entry point makes everything else anew, init() included.
 *
 * Contract: the former run may have written anywhere in this domain's memory. Before a new run, all variables are zero
 * again; in any case those that the image's builder and libmicrokit fill in have their values again, from code and
 * constants, which nobody can write. To record a fault, the former run's own state is left as it is.
 */
#include "sb_layout.h"

#define CONTROL_COMMAND 4 /* offset in struct sb_control, pinned in pd.c */
#define COMMAND_RUN 1     /* SB_COMMAND_RUN, pinned there too */

    .macro address register, symbol
    adrp \register, \symbol
    add \register, \register, :lo12:\symbol
    .endm

    .macro restore symbol, value
    ldr x10, =\value
    address x9, \symbol
    str x10, [x9]
    .endm

    .text
    .global sb_engine_entry
    .type sb_engine_entry, %function
    .balign 4
sb_engine_entry:
    ldr x9, =SB_ENGINE_CONTROL_VADDR
    ldr w9, [x9, #CONTROL_COMMAND]
    cmp w9, #COMMAND_RUN
    b.ne 2f
    address x9, _bss
    address x10, _bss_end
1:  str xzr, [x9], #8
    cmp x9, x10
    b.lo 1b
2:  restore sb_arena_vaddr, SB_ENGINE_ARENA_VADDR
    restore sb_module_vaddr, SB_ENGINE_MODULE_VADDR
    restore sb_code_vaddr, SB_ENGINE_CODE_VADDR
    restore sb_stack_vaddr, SB_ENGINE_STACK_VADDR
    restore sb_control_vaddr, SB_ENGINE_CONTROL_VADDR
    restore sb_io_vaddr, SB_ENGINE_IO_VADDR
    restore microkit_pps, SB_ENGINE_CALLS
    restore microkit_notifications, SB_ENGINE_NOTIFIES
    restore microkit_irqs, 0
    address x10, sb_ipc_buffer
    ldr x10, [x10]
    address x9, __sel4_ipc_buffer
    str x10, [x9]
    address x9, microkit_have_signal
    strb wzr, [x9]
    address x9, microkit_passive
    strb wzr, [x9]
    address x9, sb_engine_stack_top
    mov sp, x9
    msr fpcr, xzr
    mov x29, xzr
    mov x30, xzr
    b _start
    .size sb_engine_entry, . - sb_engine_entry
    .ltorg

    .bss
    .balign 4096
    .skip 16384
    .global sb_engine_stack_top
sb_engine_stack_top:
