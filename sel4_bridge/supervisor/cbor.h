/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of CBOR that SMP messages use: definite-length items, unsigned integers, byte and text strings, arrays, maps
 * with text keys, booleans and null.
 *
 * Contract: a reader takes (p, end), checks before it reads and advances only on success; nothing recurses on input and
 * every loop is bounded by the input's length. Unknown keys of a map are skipped; a key that comes twice is refused. The
 * writer never passes its end: an overflow is sticky (field overflow).
 *
 * Texts that are read (not those that are skipped) must be UTF-8.
 *
 * Does NOT: read indefinite lengths, tags with a meaning or floats (they are skipped).
 * Source: RFC 8949, sections 3 and 4.2.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sb_cbor_major {
    SB_CBOR_MAJOR_UINT = 0,
    SB_CBOR_MAJOR_NEGATIVE = 1,
    SB_CBOR_MAJOR_BYTES = 2,
    SB_CBOR_MAJOR_TEXT = 3,
    SB_CBOR_MAJOR_ARRAY = 4,
    SB_CBOR_MAJOR_MAP = 5,
    SB_CBOR_MAJOR_TAG = 6,
    SB_CBOR_MAJOR_SIMPLE = 7,
};

struct sb_cbor_reader {
    const uint8_t *p; /* borrowed */
    const uint8_t *end;
};

/* A string inside the message, not terminated. */
struct sb_cbor_string {
    const uint8_t *data; /* borrowed from the message */
    size_t size;         /* bytes */
};

/* An array inside the message: `count` items follow in `items`. */
struct sb_cbor_array {
    struct sb_cbor_reader items;
    uint64_t count;
};

enum sb_cbor_kind {
    SB_CBOR_UINT,  /* out: uint64_t */
    SB_CBOR_BOOL,  /* out: bool */
    SB_CBOR_BYTES, /* out: struct sb_cbor_string */
    SB_CBOR_TEXT,  /* out: struct sb_cbor_string */
    SB_CBOR_ARRAY, /* out: struct sb_cbor_array */
};

/* One key that a message may have. */
struct sb_cbor_field {
    const char *key;
    enum sb_cbor_kind kind;
    void *out;  /* written only if the key is there */
    bool found; /* set by sb_cbor_read_map */
};

#define SB_CBOR_MAX_KEYS 32u /* keys of one map */

bool sb_cbor_read_head(struct sb_cbor_reader *r, enum sb_cbor_major *major, uint64_t *argument);
bool sb_cbor_read_text(struct sb_cbor_reader *r, struct sb_cbor_string *out);
bool sb_cbor_skip(struct sb_cbor_reader *r);

/*
 * Read one map of text keys into `fields`. False for anything that is no such map, a known key with another type of
 * value (null counts as absent), a key that comes twice, or more than SB_CBOR_MAX_KEYS keys.
 */
bool sb_cbor_read_map(struct sb_cbor_reader *r, struct sb_cbor_field *fields, size_t field_count);

struct sb_cbor_writer {
    uint8_t *p;
    uint8_t *end;
    bool overflow;
};

void sb_cbor_write_head(struct sb_cbor_writer *w, enum sb_cbor_major major, uint64_t argument);
void sb_cbor_write_uint(struct sb_cbor_writer *w, uint64_t value);
void sb_cbor_write_bool(struct sb_cbor_writer *w, bool value);
void sb_cbor_write_bytes(struct sb_cbor_writer *w, const void *data, size_t size);
void sb_cbor_write_text(struct sb_cbor_writer *w, const char *text);
void sb_cbor_write_text_bytes(struct sb_cbor_writer *w, const void *data, size_t size);

/* key: value in one go */
void sb_cbor_put_uint(struct sb_cbor_writer *w, const char *key, uint64_t value);
void sb_cbor_put_bool(struct sb_cbor_writer *w, const char *key, bool value);
void sb_cbor_put_text(struct sb_cbor_writer *w, const char *key, const char *text);
void sb_cbor_put_bytes(struct sb_cbor_writer *w, const char *key, const void *data, size_t size);

/* Room left, 0 after an overflow. */
size_t sb_cbor_room(const struct sb_cbor_writer *w);
