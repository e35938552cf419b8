/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest thing that a launcher can boot: says TEXT on the PL011 and sleeps. With -DOFF it powers the machine off
 * (PSCI SYSTEM_OFF, Arm DEN 0022) instead. It is no device: it tests qemu/launcher.py without one.
 */
    .globl _start
_start:
    mov     x1, #0x09000000
    adr     x2, text
1:  ldrb    w0, [x2], #1
    cbz     w0, 2f
    str     w0, [x1]
    b       1b
2:
#ifdef OFF
    ldr     w0, =0x84000008
    hvc     #0
#endif
3:  wfi
    b       3b
text:
    .asciz  TEXT
