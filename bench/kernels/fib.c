/* SPDX-License-Identifier: Apache-2.0 */
/* Calls: doubly recursive Fibonacci and Ackermann's function (OEIS A000045; ack(2, m) = 2 m + 3). */
#include "kernel.h"

static KERNEL_NOINLINE uint32_t fib(uint32_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static KERNEL_NOINLINE uint32_t ack(uint32_t m, uint32_t n) {
    if (m == 0)
        return n + 1;
    if (n == 0)
        return ack(m - 1, 1);
    return ack(m - 1, ack(m, n - 1));
}

int64_t run(int32_t n) {
    uint64_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        uint32_t f = fib(18 + (uint32_t)i % 3);
        uint32_t a = ack(2, 20 + (uint32_t)i % 5);
        if (a != 2 * (20 + (uint32_t)i % 5) + 3)
            return KERNEL_FAILED;
        sum += f + a;
    }
    return (int64_t)sum;
}
