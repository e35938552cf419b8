/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP: one request in, one answer out.
 *
 * Contract: handlers read the request's CBOR map and write the answer's. What they return is 0, an error of their group
 * (positive) or a general one (negative: -SB_SMP_...). Version 2 requests get group errors as {"err": {"group", "rc"}},
 * version 1 as {"rc"} in the general codes; general errors are {"rc"} in both, as in Zephyr.
 *
 * Source: Zephyr, "SMP Protocol Specification".
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "supervisor.h"

#define SB_SMP_HEADER_SIZE 8u

enum sb_smp_op { SB_SMP_READ = 0, SB_SMP_READ_ANSWER = 1, SB_SMP_WRITE = 2, SB_SMP_WRITE_ANSWER = 3 };

/* enum mcumgr_err_t */
enum sb_smp_error {
    SB_SMP_UNKNOWN = 1,
    SB_SMP_NO_MEMORY = 2,
    SB_SMP_INVALID = 3,
    SB_SMP_NO_ENTRY = 5,
    SB_SMP_BAD_STATE = 6,
    SB_SMP_TOO_LONG = 7,
    SB_SMP_NOT_SUPPORTED = 8,
    SB_SMP_CORRUPT = 9,
    SB_SMP_BUSY = 10,
    SB_SMP_ACCESS_DENIED = 11, /* with the reason of sb_supervisor in "rsn" */
    SB_SMP_TOO_NEW = 13,
};

enum sb_smp_group { SB_GROUP_OS = 0, SB_GROUP_IMAGE = 1, SB_GROUP_WASEL = 64 };

typedef int32_t sb_smp_handler(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out);

/* The commands of one group: os_group.c, images.c, modules.c. */
struct sb_smp_command {
    uint8_t id;
    sb_smp_handler *read; /* NULL: not readable */
    sb_smp_handler *write;
};
struct sb_smp_group_table {
    uint16_t group;
    uint16_t count;
    const struct sb_smp_command *commands;
    enum sb_smp_error (*general)(int32_t rc); /* a group's error for version 1 */
};
extern const struct sb_smp_group_table sb_os_group;
extern const struct sb_smp_group_table sb_image_group;
extern const struct sb_smp_group_table sb_wasel_group;

/*
 * What the glue does with a request: events first, then the answer. Parameters as of sb_smp_answer.
 */
size_t sb_smp_serve(struct sb_supervisor *s, const uint8_t *request, size_t size, uint8_t *answer, size_t capacity);

/* Answer a request. A read changes no slot and writes no flash. Returns the answer's size, 0 for what is no request at all. `answer` must not overlap `request`. */
size_t sb_smp_answer(struct sb_supervisor *s, const uint8_t *request, size_t size, uint8_t *answer, size_t capacity);

/* For handlers: the whole body is one map with these fields. */
bool sb_smp_read_body(struct sb_cbor_reader *body, struct sb_cbor_field *fields, size_t count);
