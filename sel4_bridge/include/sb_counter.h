/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generic timer as a protection domain sees it: the counter, its frequency, one deadline.
 *
 * Contract: the kernel lets EL0 read CNTPCT and CNTFRQ and program CNTP. The host simulator has a header of this name
 * with the same functions over its own clock (qemu/simulator/include).
 *
 * Source: Arm Architecture Reference Manual for A-profile, chapter "The Generic Timer" (CNTP_CVAL_EL0; CNTP_CTL_EL0:
 * bit 0 ENABLE, bit 1 IMASK).
 */
#pragma once

#include <stdint.h>

#define SB_CNTP_CTL_ENABLE 1u

static inline uint64_t sb_counter_ticks(void)
{
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value)::"memory");
    return value;
}

static inline uint64_t sb_counter_hz(void)
{
    uint64_t value;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(value));
    return value;
}

/* Raise the timer's interrupt level from `ticks` on; 0: never. */
static inline void sb_counter_deadline(uint64_t ticks)
{
    uint64_t control = ticks == 0 ? 0 : SB_CNTP_CTL_ENABLE;
    if (ticks != 0) {
        __asm__ volatile("msr cntp_cval_el0, %0" ::"r"(ticks));
    }
    __asm__ volatile("msr cntp_ctl_el0, %0\n\tisb" ::"r"(control) : "memory");
}
