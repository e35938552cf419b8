/* SPDX-License-Identifier: Apache-2.0 */
/* What the conformance domains share: lines on the UART, which every one of them maps at `uart_base`. */
#pragma once

#include <microkit.h>
#include <stdbool.h>
#include <stdint.h>

extern uintptr_t uart_base;

static inline void say(const char *text)
{
    volatile uint32_t *data = (volatile uint32_t *)uart_base;
    volatile uint32_t *flags = (volatile uint32_t *)(uart_base + 0x18);
    for (; *text; text++) {
        for (unsigned i = 0; i < 1000000u && (*flags & 32u); i++) {
        }
        *data = (uint8_t)*text;
    }
}

static inline void say_hex(uint64_t value)
{
    char digits[17];
    unsigned at = 16;
    digits[at] = 0;
    do {
        digits[--at] = "0123456789abcdef"[value & 15u];
        value >>= 4;
    } while (value != 0);
    say("0x");
    say(digits + at);
}

static inline void say_number(uint64_t value)
{
    char digits[21];
    unsigned at = 20;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    say(digits + at);
}

static inline void say_value(const char *name, uint64_t value)
{
    say(" ");
    say(name);
    say("=");
    say_hex(value);
}

static inline uint64_t ticks(void)
{
    uint64_t value;
    __asm__ volatile("isb\n\tmrs %0, cntpct_el0" : "=r"(value));
    return value;
}

static inline uint64_t ticks_per_ms(void)
{
    uint64_t hz;
    __asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
    return hz / 1000u;
}
