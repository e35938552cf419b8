/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a slot's module is started with (region launch<slot>, supervisor rw, wasi r).
 *
 * Contract: the supervisor writes it while the engine is stopped, generation last; the wasi PD copies it when the
 * generation changes. The supervisor is trusted, the sizes are checked all the same.
 */
#pragma once

#include <stdint.h>

#define SB_LAUNCH_SIZE 16384u /* bytes of the whole region */
#define SB_LAUNCH_MAX_STRINGS 256u /* of each kind */

struct sb_launch {
    uint32_t generation;
    uint32_t argc;      /* strings, the first is the program's name */
    uint32_t envc;      /* "K=V" strings */
    uint32_t text_size; /* bytes used in text: argc, envc, then grantc NUL-terminated strings back to back */
    uint32_t lossless;  /* 1: output waits for the reader instead of being dropped by the supervisor's history */
    uint32_t grantc;    /* what the module may use beyond the default: "dir=/path", "dir=/path:ro", ... (grants.h) */
    uint32_t trace;     /* 1: every call is reported (sb_trace.h); may change while the module runs */
    uint32_t ended;     /* the generation whose run is over; then wasi is notified */
    char text[SB_LAUNCH_SIZE - 32];
};
_Static_assert(sizeof(struct sb_launch) == SB_LAUNCH_SIZE, "the region's size");
