/* SPDX-License-Identifier: Apache-2.0 */
/* What a module file asks of the hostile engine: see attack.c. Little endian, as the host writes it. */
#pragma once

#include <stdint.h>

/* One row per attack: its number is its place. The host test reads the names from here. */
#define ATTACKS(X)        \
    X(read_outside)       \
    X(write_outside)      \
    X(write_read_only)    \
    X(jump_into_arena)    \
    X(jump_into_shared)   \
    X(jump_into_module)   \
    X(system_register)    \
    X(undefined)          \
    X(unknown_calls)      \
    X(calls_by_number)    \
    X(receive_for_others) \
    X(reply_to_nobody)    \
    X(deep_stack)         \
    X(wild_stack)         \
    X(own_code)           \
    X(lie_and_go_on)      \
    X(trap_and_go_on)     \
    X(random_messages)    \
    X(flood)              \
    X(spin)

struct order {
    char mark[8]; /* "ATTACK", padded with zeros */
    uint64_t attack;
    uint64_t seed;
};
