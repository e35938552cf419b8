/* SPDX-License-Identifier: Apache-2.0 */
/* See inflate.h; numbers in brackets are sections of RFC 1951. */
#include "inflate.h"

#include <string.h>

enum { END_OF_BLOCK = 256, FIRST_LENGTH = 257, LENGTHS = 29, CODE_LENGTHS = 19, NO_SYMBOL = 0xffff };

/* As many whole bytes of the input as fit. */
static void refill(struct sb_inflate *s)
{
    while (s->bit_count <= 56 && s->in != s->end) {
        s->bits |= (uint64_t)*s->in++ << s->bit_count;
        s->bit_count += 8;
    }
}

/* `count` <= 16 bits; false at the input's end. */
static bool take(struct sb_inflate *s, unsigned count, uint32_t *value)
{
    refill(s);
    if (s->bit_count < count) {
        return false;
    }
    *value = (uint32_t)(s->bits & ((UINT64_C(1) << count) - 1));
    s->bits >>= count;
    s->bit_count -= count;
    return true;
}

/* From code lengths [3.2.2]; false: more codes than a code can have. Fewer are allowed: they are never met, or refused. */
static bool build(struct sb_huffman *h, const uint8_t *lengths, unsigned count)
{
    uint16_t offsets[SB_INFLATE_BITS + 1];
    memset(h->count, 0, sizeof h->count);
    for (unsigned i = 0; i < count; i++) {
        h->count[lengths[i]]++;
    }
    int left = 1; /* codes of the present length that are free */
    for (unsigned length = 1; length <= SB_INFLATE_BITS; length++) {
        left = 2 * left - h->count[length];
        if (left < 0) {
            return false;
        }
    }
    offsets[1] = 0;
    for (unsigned length = 1; length < SB_INFLATE_BITS; length++) {
        offsets[length + 1] = (uint16_t)(offsets[length] + h->count[length]);
    }
    for (unsigned i = 0; i < count; i++) {
        if (lengths[i] != 0) {
            h->symbol[offsets[lengths[i]]++] = (uint16_t)i;
        }
    }
    h->count[0] = 0;
    return true;
}

/* Codes of each length are consecutive, so a code is told by comparing it with the first one of its length. */
static uint32_t decode(struct sb_inflate *s, const struct sb_huffman *h)
{
    uint32_t code = 0;
    uint32_t first = 0;
    uint32_t index = 0;
    refill(s);
    uint64_t bits = s->bits;
    for (unsigned length = 1; length <= SB_INFLATE_BITS && length <= s->bit_count; length++) {
        code |= (uint32_t)(bits & 1);
        bits >>= 1;
        uint32_t count = h->count[length];
        if (code < first + count) {
            s->bits = bits;
            s->bit_count -= length;
            return h->symbol[index + (code - first)];
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return NO_SYMBOL;
}

static bool flush(struct sb_inflate *s, uint32_t from)
{
    return s->at == from || s->sink(s->context, s->window + from, s->at - from);
}

/* One byte of output; *from is where the part of the window begins that the sink has not seen. */
static bool put(struct sb_inflate *s, uint8_t byte, uint32_t *from)
{
    s->window[s->at++] = byte;
    if (s->at < SB_INFLATE_WINDOW) {
        return true;
    }
    bool taken = flush(s, *from);
    s->at = *from = 0;
    s->full = true;
    return taken;
}

/* A stored block [3.2.4]. */
static bool stored(struct sb_inflate *s, uint32_t *from)
{
    uint32_t size;
    uint32_t inverted;
    s->bits >>= s->bit_count % 8;
    s->bit_count -= s->bit_count % 8;
    if (!take(s, 16, &size) || !take(s, 16, &inverted) || (size ^ inverted) != 0xffffu) {
        return false;
    }
    for (; size > 0; size--) {
        uint32_t byte;
        if (!take(s, 8, &byte) || !put(s, (uint8_t)byte, from)) {
            return false;
        }
    }
    return true;
}

/* A match [3.2.5]: `length` bytes from `distance` back. */
static bool match(struct sb_inflate *s, uint32_t length, uint32_t distance, uint32_t *from)
{
    if (distance > (s->full ? SB_INFLATE_WINDOW : s->at)) {
        return false;
    }
    for (; length > 0; length--) {
        if (!put(s, s->window[(s->at - distance) % SB_INFLATE_WINDOW], from)) {
            return false;
        }
    }
    return true;
}

static bool compressed(struct sb_inflate *s, uint32_t *from)
{
    static const uint16_t length_base[LENGTHS] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                                  31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[LENGTHS] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                                 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t distance_base[SB_INFLATE_DISTANCES] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    static const uint8_t distance_bits[SB_INFLATE_DISTANCES] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                                                6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
    for (;;) { /* each round takes a code: at least one bit */
        uint32_t symbol = decode(s, &s->literals);
        uint32_t length_extra;
        uint32_t distance_extra;
        if (symbol == END_OF_BLOCK) {
            return true;
        }
        if (symbol < END_OF_BLOCK) {
            if (!put(s, (uint8_t)symbol, from)) {
                return false;
            }
            continue;
        }
        symbol -= FIRST_LENGTH;
        if (symbol >= LENGTHS || !take(s, length_bits[symbol], &length_extra)) {
            return false;
        }
        uint32_t far = decode(s, &s->distances);
        if (far >= SB_INFLATE_DISTANCES || !take(s, distance_bits[far], &distance_extra) ||
            !match(s, length_base[symbol] + length_extra, distance_base[far] + distance_extra, from)) {
            return false;
        }
    }
}

/* Fixed codes [3.2.6]. */
static void fixed_codes(struct sb_inflate *s)
{
    uint8_t lengths[SB_INFLATE_LITERALS];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 112);
    memset(lengths + 256, 7, 24);
    memset(lengths + 280, 8, 8);
    (void)build(&s->literals, lengths, SB_INFLATE_LITERALS);
    memset(lengths, 5, SB_INFLATE_DISTANCES);
    (void)build(&s->distances, lengths, SB_INFLATE_DISTANCES);
}

/* Codes that the block brings [3.2.7]. */
static bool dynamic_codes(struct sb_inflate *s)
{
    static const uint8_t order[CODE_LENGTHS] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[SB_INFLATE_LITERALS + SB_INFLATE_DISTANCES + 2] = {0};
    uint32_t literals;
    uint32_t distances;
    uint32_t codes;
    uint32_t value;
    if (!take(s, 5, &literals) || !take(s, 5, &distances) || !take(s, 4, &codes)) {
        return false;
    }
    literals += 257;
    distances += 1;
    if (literals > 286 || distances > SB_INFLATE_DISTANCES) {
        return false;
    }
    for (uint32_t i = 0; i < codes + 4; i++) {
        if (!take(s, 3, &value)) {
            return false;
        }
        lengths[order[i]] = (uint8_t)value;
    }
    if (!build(&s->literals, lengths, CODE_LENGTHS)) {
        return false;
    }
    memset(lengths, 0, sizeof lengths);
    for (uint32_t at = 0; at < literals + distances;) {
        uint32_t symbol = decode(s, &s->literals);
        uint32_t repeat = 1;
        uint8_t length = (uint8_t)symbol;
        if (symbol == 16) {
            if (at == 0 || !take(s, 2, &repeat)) {
                return false;
            }
            length = lengths[at - 1];
            repeat += 3;
        } else if (symbol == 17 || symbol == 18) {
            if (!take(s, symbol == 17 ? 3 : 7, &repeat)) {
                return false;
            }
            length = 0;
            repeat += symbol == 17 ? 3 : 11;
        } else if (symbol > 18) {
            return false;
        }
        if (repeat > literals + distances - at) {
            return false;
        }
        memset(lengths + at, length, repeat);
        at += repeat;
    }
    return lengths[END_OF_BLOCK] != 0 && build(&s->literals, lengths, literals) &&
           build(&s->distances, lengths + literals, distances);
}

bool sb_inflate(struct sb_inflate *s, const uint8_t *in, size_t size,
                bool (*sink)(void *context, const uint8_t *data, size_t size), void *context)
{
    uint32_t from = 0;
    uint32_t last = 0;
    s->in = in;
    s->end = in + size;
    s->bits = 0;
    s->bit_count = 0;
    s->sink = sink;
    s->context = context;
    s->at = 0;
    s->full = false;
    while (last == 0) { /* each block takes three bits at least */
        uint32_t kind;
        bool good;
        if (!take(s, 1, &last) || !take(s, 2, &kind)) {
            return false;
        }
        if (kind == 0) {
            good = stored(s, &from);
        } else if (kind == 1) {
            fixed_codes(s);
            good = compressed(s, &from);
        } else {
            good = kind == 2 && dynamic_codes(s) && compressed(s, &from);
        }
        if (!good) {
            return false;
        }
    }
    return flush(s, from) && s->in == s->end && s->bit_count < 8;
}
