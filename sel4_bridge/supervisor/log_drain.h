/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moves a slot's records from the ring shared with the wasi domain (sb_log.h) to its history.
 *
 * Contract: caller is the CONSUMER of the ring. A record that breaks the ring's rules empties the ring and is counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "log_history.h"
#include "sb_log.h"

struct sb_log_drain {
    struct sb_log *log; /* shared */
    uint32_t tail;      /* own index */
    uint64_t records;
    uint64_t bytes;
    uint64_t broken; /* times that the ring made no sense */
};

/* Take what there is (lossless: what fits). True: the producer waits for room and there is some, notify it. */
bool sb_log_drain(struct sb_log_drain *drain, struct sb_history *history);
