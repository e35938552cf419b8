/* SPDX-License-Identifier: Apache-2.0 */
/* The page between restart_parent and restart_child. */
#pragma once

#include <stdint.h>

enum restart_order { ORDER_IDLE, ORDER_CALL, ORDER_RUN_CODE, ORDER_FAULT };

struct page {
    uint64_t entry; /* where a restarted child begins: its own stack, then _start */
    uint64_t order; /* enum restart_order */
};
