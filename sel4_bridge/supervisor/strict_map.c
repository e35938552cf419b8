/* SPDX-License-Identifier: Apache-2.0 */
/* See strict_map.h. */
#include "strict_map.h"

#include <string.h>

enum { SIMPLE_FALSE = 20, SIMPLE_TRUE = 21 };

bool sb_strict_read_head(struct sb_cbor_reader *r, enum sb_cbor_major *major, uint64_t *argument)
{
    struct sb_cbor_reader at = *r;
    if (!sb_cbor_read_head(&at, major, argument)) {
        return false;
    }
    uint64_t value = *argument;
    long shortest = value < 24 ? 1 : value <= UINT8_MAX ? 2 : value <= UINT16_MAX ? 3 : value <= UINT32_MAX ? 5 : 9;
    if (at.p - r->p != shortest) {
        return false;
    }
    *r = at;
    return true;
}

bool sb_strict_read_string(struct sb_cbor_reader *r, enum sb_cbor_major wanted, struct sb_cbor_string *out)
{
    struct sb_cbor_reader at = *r;
    struct sb_cbor_reader text = *r;
    enum sb_cbor_major major;
    uint64_t size;
    if (!sb_strict_read_head(&at, &major, &size) || major != wanted || size > (uint64_t)(at.end - at.p)) {
        return false;
    }
    if (major == SB_CBOR_MAJOR_TEXT && !sb_cbor_read_text(&text, out)) { /* checks UTF-8 */
        return false;
    }
    *out = (struct sb_cbor_string){.data = at.p, .size = (size_t)size};
    r->p = at.p + size;
    return true;
}

static bool read_array(struct sb_cbor_reader *r, struct sb_cbor_array *out)
{
    struct sb_cbor_reader items = *r;
    struct sb_cbor_reader at = *r;
    enum sb_cbor_major major;
    uint64_t count;
    if (!sb_strict_read_head(&items, &major, &count) || major != SB_CBOR_MAJOR_ARRAY || !sb_cbor_skip(&at)) {
        return false;
    }
    items.end = at.p;
    *out = (struct sb_cbor_array){.items = items, .count = count};
    r->p = at.p;
    return true;
}

static bool read_value(struct sb_cbor_reader *r, const struct sb_strict_field *field)
{
    struct sb_cbor_reader at = *r;
    enum sb_cbor_major major;
    uint64_t argument;
    switch (field->kind) {
    case SB_STRICT_UINT:
        if (!sb_strict_read_head(&at, &major, &argument) || major != SB_CBOR_MAJOR_UINT) {
            return false;
        }
        *(uint64_t *)field->out = argument;
        break;
    case SB_STRICT_BOOL:
        if (!sb_strict_read_head(&at, &major, &argument) || major != SB_CBOR_MAJOR_SIMPLE ||
            (argument != SIMPLE_FALSE && argument != SIMPLE_TRUE)) {
            return false;
        }
        *(bool *)field->out = argument == SIMPLE_TRUE;
        break;
    case SB_STRICT_BYTES:
        if (!sb_strict_read_string(&at, SB_CBOR_MAJOR_BYTES, field->out)) {
            return false;
        }
        break;
    case SB_STRICT_TEXT:
        if (!sb_strict_read_string(&at, SB_CBOR_MAJOR_TEXT, field->out)) {
            return false;
        }
        break;
    case SB_STRICT_ARRAY:
        if (!read_array(&at, field->out)) {
            return false;
        }
        break;
    case SB_STRICT_MAP:
        if (!sb_cbor_skip(&at)) {
            return false;
        }
        *(struct sb_cbor_reader *)field->out = (struct sb_cbor_reader){r->p, at.p};
        break;
    }
    *r = at;
    return true;
}

/* Deterministic order: shorter keys first, then by their bytes. */
static int compare(const struct sb_cbor_string *a, const struct sb_cbor_string *b)
{
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return memcmp(a->data, b->data, a->size);
}

/* Of all keys before this one: equal, or greater. One pass over what was read already. */
static enum sb_strict_result check_order(const struct sb_cbor_reader *first, uint64_t before,
                                         const struct sb_cbor_string *key)
{
    struct sb_cbor_reader at = *first;
    enum sb_strict_result result = SB_STRICT_OK;
    for (uint64_t i = 0; i < before; i++) {
        struct sb_cbor_string other;
        if (!sb_strict_read_string(&at, SB_CBOR_MAJOR_TEXT, &other) || !sb_cbor_skip(&at)) {
            return SB_STRICT_SHAPE;
        }
        int order = compare(key, &other);
        if (order == 0) {
            return SB_STRICT_DUPLICATE;
        }
        result = order < 0 ? SB_STRICT_ORDER : result;
    }
    return result;
}

enum sb_strict_result sb_strict_read_map(struct sb_cbor_reader *r, struct sb_strict_field *fields, size_t field_count)
{
    struct sb_cbor_reader at = *r;
    enum sb_cbor_major major;
    uint64_t count;
    if (!sb_strict_read_head(&at, &major, &count) || major != SB_CBOR_MAJOR_MAP || count > SB_CBOR_MAX_KEYS) {
        return SB_STRICT_SHAPE;
    }
    const struct sb_cbor_reader first = at;
    for (size_t f = 0; f < field_count; f++) {
        fields[f].found = false;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct sb_cbor_string key;
        if (!sb_strict_read_string(&at, SB_CBOR_MAJOR_TEXT, &key)) {
            return SB_STRICT_SHAPE;
        }
        enum sb_strict_result order = check_order(&first, i, &key);
        if (order != SB_STRICT_OK) {
            return order;
        }
        struct sb_strict_field *field = NULL;
        for (size_t f = 0; f < field_count && field == NULL; f++) {
            const struct sb_cbor_string known = {(const uint8_t *)fields[f].key, strlen(fields[f].key)};
            field = compare(&key, &known) == 0 ? &fields[f] : NULL;
        }
        if (field == NULL) {
            return SB_STRICT_KEY;
        }
        if (!read_value(&at, field)) {
            return SB_STRICT_SHAPE;
        }
        field->found = true;
    }
    *r = at;
    return SB_STRICT_OK;
}
