/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps of signed documents: deterministic CBOR, every key known, none twice.
 *
 * Contract: what this reads has exactly one encoding (RFC 8949 section 4.2.1: shortest heads, keys in order), so that
 * two readers can't see different things in the same bytes. Takes (p, end) and advances only on success. What lies in
 * arrays and nested maps is checked when the caller reads it with these functions.
 */
#pragma once

#include "cbor.h"

enum sb_strict_result {
    SB_STRICT_OK = 0,
    SB_STRICT_SHAPE,     /* no map of text keys, a value of another type, cut off */
    SB_STRICT_DUPLICATE, /* a key twice */
    SB_STRICT_ORDER,     /* keys out of order, or a number written longer than needed */
    SB_STRICT_KEY,       /* an unknown key */
};

enum sb_strict_kind {
    SB_STRICT_UINT,  /* out: uint64_t */
    SB_STRICT_BOOL,  /* out: bool */
    SB_STRICT_BYTES, /* out: struct sb_cbor_string */
    SB_STRICT_TEXT,  /* out: struct sb_cbor_string, UTF-8 */
    SB_STRICT_ARRAY, /* out: struct sb_cbor_array */
    SB_STRICT_MAP,   /* out: struct sb_cbor_reader, at the map's head */
};

struct sb_strict_field {
    const char *key;
    enum sb_strict_kind kind;
    void *out;  /* written only if the key is there */
    bool found; /* set by sb_strict_read_map */
};

/* As sb_cbor_read_head, but only the shortest form. */
bool sb_strict_read_head(struct sb_cbor_reader *r, enum sb_cbor_major *major, uint64_t *argument);

/* A byte or text string; texts must be UTF-8. */
bool sb_strict_read_string(struct sb_cbor_reader *r, enum sb_cbor_major wanted, struct sb_cbor_string *out);

/* Read one map into `fields`. */
enum sb_strict_result sb_strict_read_map(struct sb_cbor_reader *r, struct sb_strict_field *fields, size_t field_count);
