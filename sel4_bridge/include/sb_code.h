/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written bytes as instructions: the cache maintenance that AArch64 wants between the two.
 *
 * The host simulator, whose header of this name does nothing, runs no native code.
 * Source: Arm Architecture Reference Manual (DDI 0487), B2.4.4, "Concurrent modification and execution of instructions".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sb_layout.h"

/* Whoever executes [at, at + size) from its next exception return on sees what was written there. */
static inline void sb_code_publish(const uint8_t *at, size_t size)
{
    const uintptr_t begin = (uintptr_t)at & ~(uintptr_t)(SB_CACHE_LINE - 1);
    const uintptr_t end = (uintptr_t)at + size;
    for (uintptr_t line = begin; line < end; line += SB_CACHE_LINE) {
        __asm__ volatile("dc cvau, %0" ::"r"(line) : "memory");
    }
    __asm__ volatile("dsb ish" ::: "memory");
    for (uintptr_t line = begin; line < end; line += SB_CACHE_LINE) {
        __asm__ volatile("ic ivau, %0" ::"r"(line) : "memory");
    }
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}
