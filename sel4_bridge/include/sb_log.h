/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of one slot on its way from the wasi PD to the supervisor (region log<slot>): a ring of records.
 *
 * Contract: wasi is the only PRODUCER, the supervisor the only CONSUMER. head and tail count bytes since boot and are
 * taken modulo SB_LOG_DATA_SIZE. A record is a 4-byte header and its bytes, padded to 4; it may wrap anywhere.
 * Each side keeps its own index in private memory and writes it here; the peer's index is read once (acquire), checked
 * (used = head - tail <= SB_LOG_DATA_SIZE, multiple of 4) and otherwise taken as an empty or a full ring.
 */
#pragma once

#include <stdint.h>

#define SB_LOG_REGION_SIZE 69632u /* bytes: one page of header, 64 KiB of data */
#define SB_LOG_DATA_SIZE 65536u   /* bytes, power of two */
#define SB_LOG_MAX_RECORD 1024u   /* payload bytes of one record */

enum sb_log_stream { SB_LOG_SYSTEM = 0, SB_LOG_STDOUT = 1, SB_LOG_STDERR = 2, SB_LOG_TRACE = 3 /* sb_trace.h */ };

struct sb_log_record {
    uint16_t size;     /* payload bytes, <= SB_LOG_MAX_RECORD */
    uint8_t stream;    /* enum sb_log_stream */
    uint8_t ends_line; /* 1: a newline followed the payload and is not part of it */
};

struct sb_log {
    uint32_t head __attribute__((aligned(64))); /* written by the PRODUCER, release after the record */
    uint32_t tail __attribute__((aligned(64))); /* written by the CONSUMER, release after reading */
    uint32_t waiting __attribute__((aligned(64))); /* PRODUCER sets 1 when it found no room: CONSUMER notifies */
    uint64_t calls __attribute__((aligned(64))); /* counters of the slot since boot, by wasi, for `stats`; less than 64 behind */
    uint64_t refused; /* messages that no engine of ours sends */
    uint64_t pending; /* answers "not yet" */
    uint64_t waited_ns;        /* between such an answer and the next call */
    uint64_t waiting_since_ns; /* of CNTPCT's clock; 0: not waiting. An engine that is stopped so stays so */
    uint8_t data[SB_LOG_DATA_SIZE] __attribute__((aligned(4096)));
};
_Static_assert(sizeof(struct sb_log) == SB_LOG_REGION_SIZE, "the region's size");
