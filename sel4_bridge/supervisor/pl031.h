/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real-time clock PL031, of which only the data register is read.
 *
 * Source: Arm PrimeCell Real Time Clock (PL031) Technical Reference Manual (DDI 0224), section 3.3.1.
 */
#pragma once

#include <stdint.h>

struct pl031 {
    volatile uint32_t dr; /* 3.3.1 seconds since the epoch */
};
