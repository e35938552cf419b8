/* SPDX-License-Identifier: Apache-2.0 */
/* The page between hostile_parent and hostile_child. */
#pragma once

#include <stdint.h>

enum { ROUNDS = 120, ATTACKS = 12 };

struct orders {
    uint64_t entry; /* where the child begins each round */
    uint64_t round;
};
