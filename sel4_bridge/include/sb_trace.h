/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One WASI call as `wasel trace` sees it: a record of stream SB_LOG_TRACE in the slot's log.
 *
 * Layout, little endian: this head, count_in words, count_out words, in_size bytes of what went in (its beginning).
 * sel4_bridge/trace.py decodes it. Written only while sb_launch.trace is set; a full log drops records, calls don't wait.
 */
#pragma once

#include <stdint.h>

#define SB_TRACE_MAX_BYTES 64u /* of the shared buffer */

struct sb_trace_head {
    uint16_t label;     /* enum sb_wasi_label, or what came instead */
    uint8_t count_in;   /* message registers of the call, <= SB_MESSAGE_WORDS */
    uint8_t count_out;  /* of the answer; the first is the errno, or SB_PENDING */
    uint32_t in_size;   /* bytes that follow the words */
    uint64_t start_ns;  /* monotonic */
    uint32_t duration_ns; /* in the server, without the way there and back */
    uint32_t number;    /* of the call since boot; a gap is what was dropped */
};
_Static_assert(sizeof(struct sb_trace_head) == 24, "trace.py unpacks this");
