/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor tells the wasi PD about the whole device (region system, supervisor rw, wasi r). */
#pragma once

#include <stdint.h>

struct sb_system {
    uint64_t realtime_offset_ns; /* real time minus monotonic time (CNTPCT), one aligned store */
    uint32_t seed_generation;    /* 0: the agent has given no seed yet; written after seed */
    uint32_t reserved;
    uint8_t seed[32];            /* for the random generator; says nothing about quality: the agent's duty */
};
