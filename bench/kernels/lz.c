/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compression: a byte-wise LZ77 with a hash table of four-byte prefixes, there and back, over text made of a small
 * vocabulary. The checks: what comes out is what went in, and it was at most half as long in between.
 */
#include "kernel.h"

#define INPUT_BYTES 12288
#define PACKED_BYTES (INPUT_BYTES + INPUT_BYTES / 8 + 16)
#define HASH_BITS 12

static uint8_t input[INPUT_BYTES], packed[PACKED_BYTES], output[INPUT_BYTES];
static uint16_t heads[1 << HASH_BITS]; /* position + 1 */

static uint32_t load32(const uint8_t *p) {
    uint32_t x;
    __builtin_memcpy(&x, p, 4);
    return x;
}

/* Tokens: 0..127 = that many + 1 literals follow; 128..255 = copy (t & 127) + 4 bytes from the 16-bit distance. */
static KERNEL_NOINLINE uint32_t pack(const uint8_t *in, uint32_t size) {
    uint32_t out = 0, literals = 0, i = 0;
    __builtin_memset(heads, 0, sizeof heads);
    while (i < size) {
        uint32_t length = 0, from = 0;
        if (i + 4 <= size) {
            uint32_t slot = load32(in + i) * 2654435761u >> (32 - HASH_BITS);
            from = heads[slot];
            heads[slot] = (uint16_t)(i + 1);
            if (from-- != 0)
                while (length < 131 && i + length < size && in[from + length] == in[i + length])
                    length++;
        }
        if (length >= 4 || literals == 128) {
            if (literals > 0) {
                packed[out++] = (uint8_t)(literals - 1);
                for (uint32_t j = i - literals; j < i; j++)
                    packed[out++] = in[j];
                literals = 0;
            }
            if (length < 4)
                continue; /* the hash slot now names i itself: one match of no use, no harm */
            packed[out++] = (uint8_t)(128 + length - 4);
            packed[out++] = (uint8_t)(i - from);
            packed[out++] = (uint8_t)((i - from) >> 8);
            i += length;
        } else {
            literals++;
            i++;
        }
    }
    if (literals > 0) {
        packed[out++] = (uint8_t)(literals - 1);
        for (uint32_t j = i - literals; j < i; j++)
            packed[out++] = in[j];
    }
    return out;
}

static KERNEL_NOINLINE uint32_t unpack(const uint8_t *in, uint32_t size, uint8_t *out, uint32_t out_size) {
    uint32_t i = 0, o = 0;
    while (i < size) {
        uint32_t token = in[i++], length = token < 128 ? token + 1 : token - 124;
        if (o + length > out_size)
            return 0;
        if (token < 128) {
            while (length-- > 0)
                out[o++] = in[i++];
        } else {
            uint32_t distance = in[i] | (uint32_t)in[i + 1] << 8;
            i += 2;
            if (distance == 0 || distance > o)
                return 0;
            for (; length > 0; length--, o++)
                out[o] = out[o - distance];
        }
    }
    return o;
}

static void write_input(uint32_t seed) {
    static const char *const words[16] = {"pump ",   "valve ",  "open ",  "closed ", "at ",    "pressure ", "of ",   "bar; ",
                                          "boiler ", "alarm: ", "level ", "rising ", "after ", "restart, ", "seven", "42 "};
    uint32_t size = 0;
    while (size < INPUT_BYTES) {
        uint32_t r = kernel_random(&seed);
        for (const char *s = words[r >> 8 & 15]; *s != 0 && size < INPUT_BYTES; s++)
            input[size++] = (uint8_t)*s;
        if ((r & 15) == 0 && size < INPUT_BYTES)
            input[size++] = (uint8_t)(r >> 16);
    }
}

int64_t run(int32_t n) {
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        write_input((uint32_t)round + 1);
        uint32_t size = pack(input, INPUT_BYTES);
        if (size > INPUT_BYTES / 2 || unpack(packed, size, output, INPUT_BYTES) != INPUT_BYTES)
            return KERNEL_FAILED;
        for (uint32_t i = 0; i < INPUT_BYTES; i++)
            if (input[i] != output[i])
                return KERNEL_FAILED;
        sum = kernel_fold(sum, size);
    }
    return (int64_t)sum;
}
