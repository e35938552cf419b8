/* SPDX-License-Identifier: Apache-2.0 */
/* See encoding.h. */
#include "encoding.h"

#include <string.h>

#include "inflate.h"

enum step { COUNT_LITERAL, LITERAL, COUNT_COPY, WHERE };

struct decoder {
    enum sb_encoding encoding;
    const uint8_t *base;
    uint32_t base_size;
    uint8_t *out;
    uint32_t size; /* of out */
    uint32_t at;   /* written */
    enum step step;
    uint32_t number; /* on its way */
    unsigned shift;
    uint32_t count; /* of the step */
    uint64_t base_at; /* where the last copy ended, at most base_size */
};

/* A byte of a number. 1: it is whole, 0: more follow, -1: it is too large. */
static int number_byte(struct decoder *d, uint8_t byte)
{
    uint32_t low = byte & 0x7fu;
    if (d->shift > 28 || (d->shift == 28 && low > 15)) {
        return -1;
    }
    d->number |= low << d->shift;
    d->shift += 7;
    return byte < 0x80 ? 1 : 0;
}

static bool copy(struct decoder *d)
{
    uint64_t distance = ((uint64_t)d->number + 1) / 2;
    bool back = (d->number & 1) != 0;
    if (back ? distance > d->base_at : distance > d->base_size - d->base_at) {
        return false;
    }
    uint64_t from = back ? d->base_at - distance : d->base_at + distance;
    if (d->count > d->base_size - from || d->count > d->size - d->at) {
        return false;
    }
    memcpy(d->out + d->at, d->base + from, d->count);
    d->at += d->count;
    d->base_at = from + d->count;
    return true;
}

/* A number of a step is whole. */
static bool counted(struct decoder *d)
{
    if (d->step == WHERE) {
        d->step = COUNT_LITERAL;
        return copy(d);
    }
    d->count = d->number;
    if (d->step == COUNT_LITERAL) {
        d->step = d->count > 0 ? LITERAL : COUNT_COPY;
    } else {
        d->step = d->count > 0 ? WHERE : COUNT_LITERAL;
    }
    return true;
}

static bool delta(struct decoder *d, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size;) {
        if (d->step == LITERAL) {
            size_t count = size - i < d->count ? size - i : d->count;
            if (count > d->size - d->at) {
                return false;
            }
            memcpy(d->out + d->at, data + i, count);
            d->at += (uint32_t)count;
            d->count -= (uint32_t)count;
            i += count;
            d->step = d->count > 0 ? LITERAL : COUNT_COPY;
            continue;
        }
        int whole = number_byte(d, data[i++]);
        if (whole < 0) {
            return false;
        }
        if (whole > 0) {
            if (!counted(d)) {
                return false;
            }
            d->number = 0;
            d->shift = 0;
        }
    }
    return true;
}

static bool sink(void *context, const uint8_t *data, size_t size)
{
    struct decoder *d = context;
    if (d->encoding == SB_ENCODING_DELTA) {
        return delta(d, data, size);
    }
    if (size > d->size - d->at) {
        return false;
    }
    memcpy(d->out + d->at, data, size);
    d->at += (uint32_t)size;
    return true;
}

bool sb_decode(enum sb_encoding encoding, const uint8_t *in, size_t in_size, const uint8_t *base, uint32_t base_size,
               uint8_t *out, uint32_t out_size)
{
    static struct sb_inflate inflate;
    struct decoder d = {.encoding = encoding, .base = base, .base_size = base_size, .out = out, .size = out_size};
    return sb_inflate(&inflate, in, in_size, sink, &d) && d.at == out_size && d.shift == 0 && d.step != LITERAL &&
           d.step != WHERE;
}
