/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEFLATE, decoded from memory into a sink.
 *
 * Contract: the input may be anything; nothing is read outside it, and every round of every loop takes a bit of it or
 * makes a byte. The sink gets the output in order, in pieces of at most SB_INFLATE_WINDOW bytes, and may refuse. The
 * state is large: its caller keeps it static.
 *
 * Does NOT: know zlib's or gzip's headers and checksums; whoever calls checks what comes out.
 * Source: RFC 1951. Zig's standard library has a decoder that rests on assertions about its input: here they would not
 * be checked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_INFLATE_WINDOW 32768u /* bytes, as far back as a match may reach */

enum { SB_INFLATE_BITS = 15, SB_INFLATE_LITERALS = 288, SB_INFLATE_DISTANCES = 30 };

struct sb_huffman {
    uint16_t count[SB_INFLATE_BITS + 1];     /* codes of each length */
    uint16_t symbol[SB_INFLATE_LITERALS];    /* in the order of their codes */
};

struct sb_inflate {
    const uint8_t *in, *end;
    uint64_t bits; /* taken from the input, the next one lowest */
    unsigned bit_count;
    bool (*sink)(void *context, const uint8_t *data, size_t size);
    void *context;
    uint32_t at; /* in the window */
    bool full;   /* the window was filled once */
    struct sb_huffman literals, distances;
    uint8_t window[SB_INFLATE_WINDOW];
};

/* True: the input was one whole stream and nothing else, and the sink took all of it. */
bool sb_inflate(struct sb_inflate *state, const uint8_t *in, size_t size,
                bool (*sink)(void *context, const uint8_t *data, size_t size), void *context);
