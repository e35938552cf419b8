/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor table of a slot. */
#pragma once

#include "slot.h"

/* The open descriptor of that number, or NULL. */
struct sb_fd *sb_fd_at(struct sb_wasi_slot *slot, uint32_t fd);
