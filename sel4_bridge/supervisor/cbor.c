/* SPDX-License-Identifier: Apache-2.0 */
/* CBOR reader and writer: see cbor.h. Source: RFC 8949. */
#include "cbor.h"

#include <string.h>

bool sb_cbor_read_head(struct sb_cbor_reader *r, enum sb_cbor_major *major, uint64_t *argument)
{
    size_t left = (size_t)(r->end - r->p);
    if (left < 1) {
        return false;
    }
    uint8_t first = r->p[0];
    uint8_t info = first & 31u;
    size_t extra = 0;
    uint64_t value = info;
    if (info >= 24) {
        if (info > 27) { /* 28..30 reserved, 31 indefinite */
            return false;
        }
        extra = (size_t)1 << (info - 24u);
        if (left - 1 < extra) {
            return false;
        }
        value = 0;
        for (size_t i = 0; i < extra; i++) {
            value = value << 8 | r->p[1 + i];
        }
    }
    *major = (enum sb_cbor_major)(first >> 5);
    *argument = value;
    r->p += 1 + extra;
    return true;
}

/* The `size` bytes of a string whose head was read. */
static bool take(struct sb_cbor_reader *r, uint64_t size, struct sb_cbor_string *out)
{
    if (size > (uint64_t)(r->end - r->p)) {
        return false;
    }
    *out = (struct sb_cbor_string){.data = r->p, .size = (size_t)size};
    r->p += size;
    return true;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const struct sb_cbor_string *text)
{
    for (size_t i = 0; i < text->size;) {
        uint8_t first = text->data[i++];
        size_t more = first < 0x80 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        if (more > text->size - i || (first >= 0x80 && first < 0xc2) || first > 0xf4) {
            return false;
        }
        uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
        uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, i++) {
            if (text->data[i] < low || text->data[i] > high) {
                return false;
            }
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}

static bool read_string(struct sb_cbor_reader *r, enum sb_cbor_major wanted, struct sb_cbor_string *out)
{
    struct sb_cbor_reader at = *r;
    enum sb_cbor_major major;
    uint64_t size;
    if (!sb_cbor_read_head(&at, &major, &size) || major != wanted || !take(&at, size, out)) {
        return false;
    }
    if (major == SB_CBOR_MAJOR_TEXT && !is_utf8(out)) {
        return false;
    }
    *r = at;
    return true;
}

bool sb_cbor_read_text(struct sb_cbor_reader *r, struct sb_cbor_string *out)
{
    return read_string(r, SB_CBOR_MAJOR_TEXT, out);
}

bool sb_cbor_skip(struct sb_cbor_reader *r)
{
    struct sb_cbor_reader at = *r;
    uint64_t items = 1; /* still to skip; each takes at least one byte, so more than the bytes left is an error */
    while (items > 0) {
        enum sb_cbor_major major;
        uint64_t argument;
        struct sb_cbor_string ignored;
        if (!sb_cbor_read_head(&at, &major, &argument)) {
            return false;
        }
        items--;
        uint64_t left = (uint64_t)(at.end - at.p);
        switch (major) {
        case SB_CBOR_MAJOR_BYTES:
        case SB_CBOR_MAJOR_TEXT:
            if (!take(&at, argument, &ignored)) {
                return false;
            }
            break;
        case SB_CBOR_MAJOR_ARRAY:
        case SB_CBOR_MAJOR_MAP:
            if (argument > left) {
                return false;
            }
            items += major == SB_CBOR_MAJOR_MAP ? 2 * argument : argument;
            break;
        case SB_CBOR_MAJOR_TAG:
            items++;
            break;
        case SB_CBOR_MAJOR_UINT:
        case SB_CBOR_MAJOR_NEGATIVE:
        case SB_CBOR_MAJOR_SIMPLE:
            break;
        }
        if (items > left) {
            return false;
        }
    }
    *r = at;
    return true;
}

/* Simple values that fit in the first byte, RFC 8949 section 3.3. */
enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21, SIMPLE_NULL = 22 };

static bool read_value(struct sb_cbor_reader *r, struct sb_cbor_field *field)
{
    struct sb_cbor_reader at = *r;
    enum sb_cbor_major major;
    uint64_t argument;
    struct sb_cbor_string string;
    if (!sb_cbor_read_head(&at, &major, &argument)) {
        return false;
    }
    if (major == SB_CBOR_MAJOR_SIMPLE && argument == SIMPLE_NULL && at.p - r->p == 1) {
        *r = at;
        return true;
    }
    switch (field->kind) {
    case SB_CBOR_UINT:
        if (major != SB_CBOR_MAJOR_UINT) {
            return false;
        }
        *(uint64_t *)field->out = argument;
        break;
    case SB_CBOR_BOOL:
        if (major != SB_CBOR_MAJOR_SIMPLE || (argument != SIMPLE_FALSE && argument != SIMPLE_TRUE)) {
            return false;
        }
        *(bool *)field->out = argument == SIMPLE_TRUE;
        break;
    case SB_CBOR_BYTES:
    case SB_CBOR_TEXT:
        at = *r;
        if (!read_string(&at, field->kind == SB_CBOR_TEXT ? SB_CBOR_MAJOR_TEXT : SB_CBOR_MAJOR_BYTES, &string)) {
            return false;
        }
        *(struct sb_cbor_string *)field->out = string;
        break;
    case SB_CBOR_ARRAY: {
        if (major != SB_CBOR_MAJOR_ARRAY) {
            return false;
        }
        struct sb_cbor_reader items = at;
        at = *r;
        if (!sb_cbor_skip(&at)) {
            return false;
        }
        items.end = at.p;
        *(struct sb_cbor_array *)field->out = (struct sb_cbor_array){.items = items, .count = argument};
        break;
    }
    }
    field->found = true;
    *r = at;
    return true;
}

static bool same_string(const struct sb_cbor_string *a, const struct sb_cbor_string *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

bool sb_cbor_read_map(struct sb_cbor_reader *r, struct sb_cbor_field *fields, size_t field_count)
{
    struct sb_cbor_reader at = *r;
    struct sb_cbor_string keys[SB_CBOR_MAX_KEYS];
    enum sb_cbor_major major;
    uint64_t count;
    if (!sb_cbor_read_head(&at, &major, &count) || major != SB_CBOR_MAJOR_MAP || count > SB_CBOR_MAX_KEYS) {
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!sb_cbor_read_text(&at, &keys[i])) {
            return false;
        }
        for (uint64_t j = 0; j < i; j++) {
            if (same_string(&keys[i], &keys[j])) {
                return false;
            }
        }
        struct sb_cbor_field *field = NULL;
        for (size_t f = 0; f < field_count && field == NULL; f++) {
            struct sb_cbor_string known = {(const uint8_t *)fields[f].key, strlen(fields[f].key)};
            if (same_string(&keys[i], &known)) {
                field = &fields[f];
            }
        }
        if (field != NULL ? !read_value(&at, field) : !sb_cbor_skip(&at)) {
            return false;
        }
    }
    *r = at;
    return true;
}

size_t sb_cbor_room(const struct sb_cbor_writer *w)
{
    return w->overflow ? 0 : (size_t)(w->end - w->p);
}

static void append(struct sb_cbor_writer *w, const void *data, size_t size)
{
    if (sb_cbor_room(w) < size) {
        w->overflow = true;
        return;
    }
    memcpy(w->p, data, size);
    w->p += size;
}

void sb_cbor_write_head(struct sb_cbor_writer *w, enum sb_cbor_major major, uint64_t argument)
{
    uint8_t head[9];
    size_t extra = argument < 24 ? 0 : argument <= UINT8_MAX ? 1 : argument <= UINT16_MAX ? 2 : argument <= UINT32_MAX ? 4 : 8;
    uint8_t info = (uint8_t)(extra == 0 ? argument : extra == 1 ? 24 : extra == 2 ? 25 : extra == 4 ? 26 : 27);
    head[0] = (uint8_t)((unsigned)major << 5 | info);
    for (size_t i = 0; i < extra; i++) {
        head[1 + i] = (uint8_t)(argument >> (8 * (extra - 1 - i)));
    }
    append(w, head, 1 + extra);
}

void sb_cbor_write_uint(struct sb_cbor_writer *w, uint64_t value)
{
    sb_cbor_write_head(w, SB_CBOR_MAJOR_UINT, value);
}

void sb_cbor_write_bool(struct sb_cbor_writer *w, bool value)
{
    sb_cbor_write_head(w, SB_CBOR_MAJOR_SIMPLE, value ? SIMPLE_TRUE : SIMPLE_FALSE);
}

void sb_cbor_write_bytes(struct sb_cbor_writer *w, const void *data, size_t size)
{
    sb_cbor_write_head(w, SB_CBOR_MAJOR_BYTES, size);
    append(w, data, size);
}

void sb_cbor_write_text_bytes(struct sb_cbor_writer *w, const void *data, size_t size)
{
    sb_cbor_write_head(w, SB_CBOR_MAJOR_TEXT, size);
    append(w, data, size);
}

void sb_cbor_write_text(struct sb_cbor_writer *w, const char *text)
{
    sb_cbor_write_text_bytes(w, text, strlen(text));
}

void sb_cbor_put_uint(struct sb_cbor_writer *w, const char *key, uint64_t value)
{
    sb_cbor_write_text(w, key);
    sb_cbor_write_uint(w, value);
}

void sb_cbor_put_bool(struct sb_cbor_writer *w, const char *key, bool value)
{
    sb_cbor_write_text(w, key);
    sb_cbor_write_bool(w, value);
}

void sb_cbor_put_text(struct sb_cbor_writer *w, const char *key, const char *text)
{
    sb_cbor_write_text(w, key);
    sb_cbor_write_text(w, text);
}

void sb_cbor_put_bytes(struct sb_cbor_writer *w, const char *key, const void *data, size_t size)
{
    sb_cbor_write_text(w, key);
    sb_cbor_write_bytes(w, data, size);
}
