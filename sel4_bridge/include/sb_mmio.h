/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accesses to device registers: each is one load or store of exactly that width.
 *
 * Drivers go through these so that the host simulator, whose header of this name calls its device models
 * (qemu/simulator/include), runs them unchanged. Memory that only looks like memory (RAM, flash in its array mode) is
 * read without.
 */
#pragma once

#include <stdint.h>

static inline uint32_t sb_mmio_read32(const volatile uint32_t *address)
{
    return *address;
}

static inline void sb_mmio_write32(volatile uint32_t *address, uint32_t value)
{
    *address = value;
}
