/* SPDX-License-Identifier: Apache-2.0 */
/* Device registers of the store's host tests: chips.c. */
#pragma once

#include <stdint.h>

uint32_t sb_mmio_read32(const volatile uint32_t *address);
void sb_mmio_write32(volatile uint32_t *address, uint32_t value);
