/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the binary format (core spec 5.2) from [p, end).
 *
 * Contract: every function checks before it reads, advances p only on success, and on failure returns false with a
 * short reason in problem. Numbers are LEB128 as the spec limits them: at most ceil(N/7) bytes, unused bits as the sign.
 */
#pragma once

#include "../include/edge_engine.h"

struct ee_reader {
    const uint8_t *p, *end;
    const char *problem; /* why the last read failed; a literal */
};

EE_MUST_CHECK bool ee_read_u32_long(struct ee_reader *r, uint32_t *value);
EE_MUST_CHECK bool ee_read_s32(struct ee_reader *r, int32_t *value);
EE_MUST_CHECK bool ee_read_s33(struct ee_reader *r, int64_t *value);
EE_MUST_CHECK bool ee_read_s64(struct ee_reader *r, int64_t *value);

/* Bytes in place; *bytes points into the module. */
EE_MUST_CHECK bool ee_read_bytes(struct ee_reader *r, uint32_t size, const uint8_t **bytes);

/* A name (core spec 5.2.4): length, then valid UTF-8, in place. */
EE_MUST_CHECK bool ee_read_name(struct ee_reader *r, struct ee_name *name);

/* Is [bytes, bytes + size) well-formed UTF-8 (no surrogates, nothing overlong, at most U+10FFFF)? */
EE_MUST_CHECK bool ee_is_utf8(const uint8_t *bytes, size_t size);

static inline uint32_t ee_left(const struct ee_reader *r) { return (uint32_t)(r->end - r->p); }

EE_MUST_CHECK static inline bool ee_read_u8(struct ee_reader *r, uint8_t *value)
{
    if (r->p == r->end) {
        r->problem = "unexpected end";
        return false;
    }
    *value = *r->p++;
    return true;
}

/* Most numbers have one byte. */
EE_MUST_CHECK static inline bool ee_read_u32(struct ee_reader *r, uint32_t *value)
{
    if (r->p != r->end && *r->p < 0x80) {
        *value = *r->p++;
        return true;
    }
    return ee_read_u32_long(r, value);
}
