/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 128-bit vectors as the compiler's own vector types, and what the handlers of SIMD instructions are made of
 * (operations_simd.py). Lane by lane loops have constant bounds, and the compiler turns most into vector instructions.
 */
#pragma once

#include <stdint.h>

#include "numeric.h"

typedef int8_t ee_i8x16 __attribute__((vector_size(16)));
typedef uint8_t ee_u8x16 __attribute__((vector_size(16)));
typedef int16_t ee_i16x8 __attribute__((vector_size(16)));
typedef uint16_t ee_u16x8 __attribute__((vector_size(16)));
typedef int32_t ee_i32x4 __attribute__((vector_size(16)));
typedef uint32_t ee_u32x4 __attribute__((vector_size(16)));
typedef int64_t ee_i64x2 __attribute__((vector_size(16)));
typedef uint64_t ee_u64x2 __attribute__((vector_size(16)));

/* A vector whose lane n, of type element, is expression. */
#define EE_LANES(vector, element, count, expression) \
    __extension__({                                  \
        vector r_ = {0};                             \
        for (int n = 0; n < (count); n++)            \
            r_[n] = (element)(expression);           \
        r_;                                          \
    })

#define EE_ALL_TRUE(vector, count, value)      \
    __extension__({                            \
        uint32_t r_ = 1;                       \
        for (int n = 0; n < (count); n++)      \
            r_ &= ((vector)(value))[n] != 0;   \
        r_;                                    \
    })

#define EE_BITMASK(vector, count, value)                            \
    __extension__({                                                 \
        uint32_t r_ = 0;                                            \
        for (int n = 0; n < (count); n++)                           \
            r_ |= (uint32_t)(((vector)(value))[n] < 0) << n;        \
        r_;                                                         \
    })

#define EE_CLAMP(value, low, high) ((value) < (low) ? (low) : (value) > (high) ? (high) : (value))
/* Of a shuffle: `at` counts through both vectors. */
#define EE_PICK(lane, a, b) __extension__({ uint32_t at = (lane); at < 16 ? (a) : (b); })
/* A number in the low lane, zeros above. */
#define EE_LOW(number) ((ee_u64x2){(number), 0})
