/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling struct ee_error without a C library: texts are put together from pieces, cut at the end of the buffer.
 * error.c also holds ee_status_text and ee_trap_text.
 */
#pragma once

#include "../include/edge_engine.h"
#include "arena.h"

/* Starts a message: sets status and place, text empty. error may be NULL everywhere here: nothing is written. */
void ee_error_begin(struct ee_error *error, enum ee_status status, uint32_t offset, uint32_t function);
void ee_error_text(struct ee_error *error, const char *text);
void ee_error_number(struct ee_error *error, uint64_t number);
void ee_error_hex(struct ee_error *error, uint64_t number);
/* Quoted, unprintable bytes as '?', long ones cut. */
void ee_error_name(struct ee_error *error, const void *bytes, size_t size);

/* A whole message in one call; returns status. */
enum ee_status ee_fail(struct ee_error *error, enum ee_status status, uint32_t offset, uint32_t function,
                       const char *text);

/* Ends a message that was begun: "unknown WHAT: expected an index below COUNT, found INDEX". EE_INVALID. */
enum ee_status ee_unknown(struct ee_error *error, const char *what, uint32_t index, uint32_t count);

/* EE_NO_MEMORY: "arena too small for WHAT: N bytes needed, M given". Uses arena->wanted and arena->limit. */
enum ee_status ee_fail_memory(struct ee_error *error, const struct ee_arena *arena, const char *what);

/* Name of a value type as in the text format ("i32"), or "?". */
const char *ee_valtype_text(uint8_t type);

/* Returns from the calling function unless the expression is EE_OK. */
#define EE_TRY(expression)                     \
    do {                                       \
        enum ee_status ee_try_ = (expression); \
        if (ee_try_ != EE_OK)                  \
            return ee_try_;                    \
    } while (0)
