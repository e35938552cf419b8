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

/* A line of standard output that somebody waits for. */
struct sb_line_watch {
    const uint8_t *line; /* borrowed; NULL: nothing is waited for */
    uint32_t size;       /* bytes, without a newline */
    uint32_t from;       /* index of the ring where the run's output begins */
    uint32_t matched;    /* bytes of the line under way that are right */
    bool differs;        /* the line under way is another one */
    bool seen;
};

struct sb_log_drain {
    struct sb_log *log; /* shared */
    uint32_t tail;      /* own index */
    uint64_t records;
    uint64_t bytes;
    uint64_t broken; /* times that the ring made no sense */
    struct sb_line_watch watch;
};

/* Wait for this line from here on; what was written before does not count. */
void sb_log_watch(struct sb_log_drain *drain, const uint8_t *line, uint32_t size);

/* Take what there is (lossless: what fits). True: the producer waits for room and there is some, notify it. */
bool sb_log_drain(struct sb_log_drain *drain, struct sb_history *history);
