/* SPDX-License-Identifier: Apache-2.0 */
/* What the compiler may call in generated code: the memory functions, and the number of the layout it was made for. */
#include "../src/native.h"

extern const uint32_t wn_abi;
const uint32_t wn_abi = EE_NATIVE_ABI;

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < size; i++) {
        t[i] = f[i];
        __asm__ volatile("" : : : "memory"); /* not a call of itself */
    }
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < size; i++) {
        size_t at = t < f ? i : size - 1 - i;
        t[at] = f[at];
        __asm__ volatile("" : : : "memory");
    }
    return to;
}

void *memset(void *to, int byte, size_t size)
{
    unsigned char *t = to;
    for (size_t i = 0; i < size; i++) {
        t[i] = (unsigned char)byte;
        __asm__ volatile("" : : : "memory");
    }
    return to;
}
