/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PRODUCER's side of a slot's log ring (sb_log.h): bytes of a stream become records, one line or less each.
 *
 * Contract: a record is written whole or not at all; a newline ends a record and is not part of it. head is kept here
 * in private memory. Does NOT notify: that is the domain's glue.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sb_log.h"

struct sb_output {
    struct sb_log *ring;
    uint32_t head;
};

/* caller: PRODUCER. Takes as many bytes as whole records of them fit, returns how many. */
uint32_t sb_output_write(struct sb_output *output, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size);

/* caller: PRODUCER. One record of at most SB_LOG_MAX_RECORD bytes as it is; false: there is no room, it is dropped. */
bool sb_output_record(struct sb_output *output, enum sb_log_stream stream, const uint8_t *bytes, uint32_t size);

/* caller: PRODUCER. Asks to be notified when there is room. True: the largest record fits already. */
bool sb_output_wait(struct sb_output *output);
