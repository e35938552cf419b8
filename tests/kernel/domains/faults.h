/* SPDX-License-Identifier: Apache-2.0 */
/* The page between fault_parent and fault_child. */
#pragma once

#include <stdint.h>

enum { MODE_RESTART, MODE_REPLY_NEXT, MODE_REPLY_AGAIN };

struct notes {
    uint64_t step;
    uint64_t expected_pc, expected_address;
    uint64_t next_pc; /* where the child goes on */
    uint64_t mode;
    uint64_t spins;
};
