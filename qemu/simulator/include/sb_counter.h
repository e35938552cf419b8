/* SPDX-License-Identifier: Apache-2.0 */
/* The generic timer, in the host simulator: calls (clock.c). Takes the place of sel4_bridge's header of this name. */
#pragma once

#include <stdint.h>

uint64_t sb_counter_ticks(void);
uint64_t sb_counter_hz(void);
void sb_counter_deadline(uint64_t ticks);
