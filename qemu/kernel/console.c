/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines for the operator on the board's PL011, for trouble only: the UART belongs to a protection domain, and the
 * kernel writes to it when a domain without a parent faults or when the kernel itself cannot go on.
 * Waits for room in the FIFO with a bound: a UART that never drains loses text and stops nobody.
 */
#include "kernel.h"

struct pl011 {
    volatile uint32_t dr;
    uint32_t skip[5];
    volatile uint32_t fr; /* PL011 manual 3.3.3: bit 5 TXFF */
};
enum { FR_TXFF = 1 << 5, WAIT_BOUND = 100000 };

static void put(char c)
{
    struct pl011 *uart = (struct pl011 *)(KERNEL_BASE + 0x09000000ul);
    for (unsigned i = 0; i < WAIT_BOUND && (uart->fr & FR_TXFF); i++) {
    }
    uart->dr = (uint8_t)c;
}

void print(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            put('\r');
        }
        put(*text);
    }
}

void print_hex(uint64_t value)
{
    char digits[19] = "0x";
    unsigned length = 2;
    for (int shift = 60; shift >= 0; shift -= 4) {
        unsigned digit = (unsigned)(value >> shift) & 15u;
        if (digit != 0 || length > 2 || shift == 0) {
            digits[length++] = "0123456789abcdef"[digit];
        }
    }
    digits[length] = 0;
    print(digits);
}

_Noreturn void panic(const char *why)
{
    print("\nstand-in kernel: ");
    print(why);
    print("\n");
    for (;;) {
        __asm__ volatile("msr daifset, #15\n\twfi");
    }
}
