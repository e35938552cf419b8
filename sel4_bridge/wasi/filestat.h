/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of files as WASI wants them. Source: preview1, `filestat` (64 bytes) and `fstflags`. */
#pragma once

#include "fs.h"
#include "slot.h"

void sb_filestat_put(struct sb_out *out, uint64_t device, const struct sb_stat *stat);

/* EINVAL for flags that contradict each other. */
uint16_t sb_filestat_set_times(struct sb_wasi_slot *slot, struct sb_node node, uint64_t atim_ns, uint64_t mtim_ns,
                               uint32_t flags);
