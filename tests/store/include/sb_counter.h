/* SPDX-License-Identifier: Apache-2.0 */
/* A counter for the flash driver on the host: it advances by a nanosecond each time it is read, so waits end. */
#pragma once

#include <stdint.h>

static inline uint64_t sb_counter_ticks(void)
{
    static uint64_t now;
    return ++now;
}

static inline uint64_t sb_counter_hz(void)
{
    return 1000000; /* so few ticks a second that a wait for nothing ends soon */
}
