/* SPDX-License-Identifier: Apache-2.0 */
/* Where a PD begins. The kernel has set sp to the top of the PD's stack; nothing else is promised. */
    .section ".text.start", "ax"
    .global _start
    .type _start, %function
_start:
    mov x29, xzr
    mov x30, xzr
    b sb_microkit_main
    .size _start, . - _start
