/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two 16-bit NOR flash chips for the store's host tests, at the level of their commands; power can go at any operation.
 *
 * Contract: an operation is a program (word or buffer) or an erase. chips_cut is called when the one that was asked for
 * is due, before it, with its first half done, or after it; it does not return. What only QEMU would forgive ends the
 * test: a bit programmed from 0 to 1, a command that the chips do not know, data outside the block of a buffer.
 */
#pragma once

#include <stdint.h>

#define CHIPS_SECTOR 262144u /* bytes of both chips */

enum chips_phase { CHIPS_BEFORE, CHIPS_HALF, CHIPS_AFTER };

extern uint64_t chips_operations; /* so far */
extern uint64_t chips_cut_at;     /* operation at which power goes, from 1; 0: never */
extern enum chips_phase chips_cut_phase;
extern uint32_t chips_buffer; /* bytes of the write buffer of both chips; 0: they have none */

void chips_init(uint8_t *memory, uint32_t size);
void chips_power_on(void);
_Noreturn void chips_cut(void);
