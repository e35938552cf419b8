/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numeric operations whose C operators differ from WebAssembly's (core spec 4.3): rotations, rounding, minimum,
 * maximum, and the ranges of conversions. No libm: where the machine has no instruction, integer arithmetic does it.
 */
#pragma once

#include <stdint.h>

typedef float ee_f32x4 __attribute__((vector_size(16)));
typedef double ee_f64x2 __attribute__((vector_size(16)));

static inline uint32_t ee_rotl32(uint32_t a, uint32_t b) { return (a << (b & 31)) | (a >> (-b & 31)); }
static inline uint32_t ee_rotr32(uint32_t a, uint32_t b) { return (a >> (b & 31)) | (a << (-b & 31)); }
static inline uint64_t ee_rotl64(uint64_t a, uint64_t b) { return (a << (b & 63)) | (a >> (-b & 63)); }
static inline uint64_t ee_rotr64(uint64_t a, uint64_t b) { return (a >> (b & 63)) | (a << (-b & 63)); }
static inline uint32_t ee_clz32(uint32_t a) { return a == 0 ? 32 : (uint32_t)__builtin_clz(a); }
static inline uint32_t ee_ctz32(uint32_t a) { return a == 0 ? 32 : (uint32_t)__builtin_ctz(a); }
static inline uint64_t ee_clz64(uint64_t a) { return a == 0 ? 64 : (uint64_t)__builtin_clzll(a); }
static inline uint64_t ee_ctz64(uint64_t a) { return a == 0 ? 64 : (uint64_t)__builtin_ctzll(a); }

static inline uint32_t ee_popcnt32(uint32_t a)
{
    a -= (a >> 1) & 0x55555555u;
    a = (a & 0x33333333u) + ((a >> 2) & 0x33333333u);
    return (((a + (a >> 4)) & 0x0f0f0f0fu) * 0x01010101u) >> 24;
}

static inline uint64_t ee_popcnt64(uint64_t a)
{
    a -= (a >> 1) & 0x5555555555555555u;
    a = (a & 0x3333333333333333u) + ((a >> 2) & 0x3333333333333333u);
    return (((a + (a >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u) >> 56;
}

static inline uint32_t ee_bits32(float x)
{
    uint32_t bits;
    __builtin_memcpy(&bits, &x, 4);
    return bits;
}

static inline float ee_float32(uint32_t bits)
{
    float x;
    __builtin_memcpy(&x, &bits, 4);
    return x;
}

static inline uint64_t ee_bits64(double x)
{
    uint64_t bits;
    __builtin_memcpy(&bits, &x, 8);
    return bits;
}

static inline double ee_float64(uint64_t bits)
{
    double x;
    __builtin_memcpy(&x, &bits, 8);
    return x;
}

static inline float ee_abs32(float x) { return ee_float32(ee_bits32(x) & 0x7fffffffu); }
static inline double ee_abs64(double x) { return ee_float64(ee_bits64(x) & 0x7fffffffffffffffu); }
static inline float ee_neg32(float x) { return ee_float32(ee_bits32(x) ^ 0x80000000u); }
static inline double ee_neg64(double x) { return ee_float64(ee_bits64(x) ^ 0x8000000000000000u); }

static inline float ee_copysign32(float x, float sign)
{
    return ee_float32((ee_bits32(x) & 0x7fffffffu) | (ee_bits32(sign) & 0x80000000u));
}

static inline double ee_copysign64(double x, double sign)
{
    return ee_float64((ee_bits64(x) & 0x7fffffffffffffffu) | (ee_bits64(sign) & 0x8000000000000000u));
}

#if defined(__aarch64__)
static inline float ee_ceil32(float x) { return __builtin_ceilf(x); }
static inline double ee_ceil64(double x) { return __builtin_ceil(x); }
static inline float ee_floor32(float x) { return __builtin_floorf(x); }
static inline double ee_floor64(double x) { return __builtin_floor(x); }
static inline float ee_trunc32(float x) { return __builtin_truncf(x); }
static inline double ee_trunc64(double x) { return __builtin_trunc(x); }
static inline float ee_nearest32(float x) { return __builtin_roundevenf(x); }
static inline double ee_nearest64(double x) { return __builtin_roundeven(x); }
#else
/* From 2^23 (2^52) on every number is an integer; a NaN becomes quiet by the addition. */
static inline float ee_trunc32(float x)
{
    if (!(ee_abs32(x) < 0x1p23f))
        return x != x ? x + x : x;
    return ee_copysign32((float)(int32_t)x, x);
}

static inline double ee_trunc64(double x)
{
    if (!(ee_abs64(x) < 0x1p52))
        return x != x ? x + x : x;
    return ee_copysign64((double)(int64_t)x, x);
}

static inline float ee_ceil32(float x)
{
    float t = ee_trunc32(x);
    return t < x ? ee_copysign32(t + 1.0f, x) : t;
}

static inline double ee_ceil64(double x)
{
    double t = ee_trunc64(x);
    return t < x ? ee_copysign64(t + 1.0, x) : t;
}

static inline float ee_floor32(float x)
{
    float t = ee_trunc32(x);
    return t > x ? t - 1.0f : t;
}

static inline double ee_floor64(double x)
{
    double t = ee_trunc64(x);
    return t > x ? t - 1.0 : t;
}

/* Adding and subtracting 2^23 rounds to the nearest integer, ties to even; the barrier keeps the compiler from folding. */
static inline float ee_nearest32(float x)
{
    if (!(ee_abs32(x) < 0x1p23f))
        return x != x ? x + x : x;
    float big = ee_copysign32(0x1p23f, x);
    float t = x + big;
    __asm__("" : "+x"(t));
    return ee_copysign32(t - big, x);
}

static inline double ee_nearest64(double x)
{
    if (!(ee_abs64(x) < 0x1p52))
        return x != x ? x + x : x;
    double big = ee_copysign64(0x1p52, x);
    double t = x + big;
    __asm__("" : "+x"(t));
    return ee_copysign64(t - big, x);
}
#endif

static inline float ee_min32(float a, float b)
{
    if (a < b)
        return a;
    if (b < a)
        return b;
    return a == b ? ee_float32(ee_bits32(a) | ee_bits32(b)) : a + b;
}

static inline float ee_max32(float a, float b)
{
    if (a > b)
        return a;
    if (b > a)
        return b;
    return a == b ? ee_float32(ee_bits32(a) & ee_bits32(b)) : a + b;
}

static inline double ee_min64(double a, double b)
{
    if (a < b)
        return a;
    if (b < a)
        return b;
    return a == b ? ee_float64(ee_bits64(a) | ee_bits64(b)) : a + b;
}

static inline double ee_max64(double a, double b)
{
    if (a > b)
        return a;
    if (b > a)
        return b;
    return a == b ? ee_float64(ee_bits64(a) & ee_bits64(b)) : a + b;
}

/* Which values a truncation can represent; NaN is in none. */
#define EE_FITS_I32_F32(x) ((x) >= -0x1p31f && (x) < 0x1p31f)
#define EE_FITS_U32_F32(x) ((x) > -1.0f && (x) < 0x1p32f)
#define EE_FITS_I64_F32(x) ((x) >= -0x1p63f && (x) < 0x1p63f)
#define EE_FITS_U64_F32(x) ((x) > -1.0f && (x) < 0x1p64f)
#define EE_FITS_I32_F64(x) ((x) > -0x1.00000002p31 && (x) < 0x1p31)
#define EE_FITS_U32_F64(x) ((x) > -1.0 && (x) < 0x1p32)
#define EE_FITS_I64_F64(x) ((x) >= -0x1p63 && (x) < 0x1p63)
#define EE_FITS_U64_F64(x) ((x) > -1.0 && (x) < 0x1p64)

/* Saturating truncation (core spec 4.3.2, trunc_sat). */
#define EE_SATURATE(fits, x, to, low, high) ((fits) ? (to)(x) : (x) != (x) ? (to)0 : (x) < 0 ? (to)(low) : (to)(high))
