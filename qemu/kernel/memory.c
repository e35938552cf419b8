/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM: taken once at boot from the bottom up and never given back. Everything handed out is cleared.
 * Kernel addresses are physical addresses plus KERNEL_BASE (vectors.S maps them so).
 */
#include "kernel.h"

static uint64_t next_free, ram_end; /* physical */

void *memory_at(uint64_t phys)
{
    return (void *)(KERNEL_BASE + phys);
}

void memory_init(uint64_t base, uint64_t size)
{
    next_free = base;
    ram_end = base + size;
    (void)*(volatile uint64_t *)memory_at(ram_end - 8); /* aborts when the machine has less */
}

/* `at` and `size` are multiples of a page. */
void memory_clear(void *at, uint64_t size)
{
    uint64_t id;
    __asm__("mrs %0, dczid_el0" : "=r"(id)); /* bits 0-3: words cleared at a time, as a power of two */
    uint64_t step = 4ul << (id & 15u);
    for (uint64_t i = 0; i < size; i += step) {
        __asm__ volatile("dc zva, %0" ::"r"((char *)at + i) : "memory");
    }
}

void memory_copy(void *to, const void *from, uint64_t size)
{
    uint64_t i = 0;
    if ((((uint64_t)to | (uint64_t)from) & 7u) == 0) {
        for (; i + 8 <= size; i += 8) {
            *(volatile uint64_t *)((char *)to + i) = *(const uint64_t *)((const char *)from + i);
        }
    }
    for (; i < size; i++) {
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
}

/* The compiler calls these two by name. */
void *memset(void *at, int byte, size_t size);
void *memcpy(void *restrict to, const void *restrict from, size_t size);

void *memset(void *at, int byte, size_t size)
{
    volatile uint8_t *t = at;
    for (size_t i = 0; i < size; i++) {
        t[i] = (uint8_t)byte;
    }
    return at;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    memory_copy(to, from, size);
    return to;
}

uint64_t memory_take(uint64_t size, uint64_t align)
{
    uint64_t start = (next_free + align - 1) & ~(align - 1);
    uint64_t rounded = (size + 4095u) & ~4095ul;
    if (start > ram_end || rounded > ram_end - start) {
        panic("the system needs more RAM than the image was built for");
    }
    next_free = start + rounded;
    memory_clear(memory_at(start), rounded);
    return start;
}
