/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks by WASI number. Source: preview1, `clockid`: realtime 0, monotonic 1, process CPU time 2, thread CPU time 3. */
#pragma once

#include "slot.h"

enum sb_clock { SB_CLOCK_REALTIME = 0, SB_CLOCK_MONOTONIC = 1, SB_CLOCK_PROCESS_CPU = 2, SB_CLOCK_THREAD_CPU = 3 };

/* Nanoseconds of that clock now. EINVAL: no such clock; ENOTSUP: CPU time, which nobody counts; ENOTCAPABLE. */
uint16_t sb_clock_now(const struct sb_wasi_slot *slot, uint32_t clock, uint64_t *now_ns);
