/* SPDX-License-Identifier: Apache-2.0 */
/* See random.h. Every request makes its own stream with nonce 0: the key never serves twice. */
#include "random.h"

#include <string.h>

#include "sb_wasi_handlers.h"

enum { BLOCK = 64, ROUNDS = 10 };

static uint32_t rotate(uint32_t value, unsigned int bits)
{
    return value << bits | value >> (32 - bits);
}

static void quarter(uint32_t *x, unsigned int a, unsigned int b, unsigned int c, unsigned int d)
{
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 16);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 12);
    x[a] += x[b];
    x[d] = rotate(x[d] ^ x[a], 8);
    x[c] += x[d];
    x[b] = rotate(x[b] ^ x[c], 7);
}

/* The words go out in the machine's order, little endian on every machine that we build for. */
static void block(const uint8_t key[32], uint32_t counter, uint8_t out[BLOCK])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    memcpy(&start[4], key, 32);
    start[12] = counter;
    uint32_t x[16];
    memcpy(x, start, sizeof x);
    for (int round = 0; round < ROUNDS; round++) {
        quarter(x, 0, 4, 8, 12);
        quarter(x, 1, 5, 9, 13);
        quarter(x, 2, 6, 10, 14);
        quarter(x, 3, 7, 11, 15);
        quarter(x, 0, 5, 10, 15);
        quarter(x, 1, 6, 11, 12);
        quarter(x, 2, 7, 8, 13);
        quarter(x, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++) {
        x[i] += start[i];
    }
    memcpy(out, x, BLOCK);
}

void sb_random_seed(struct sb_random *random, const uint8_t seed[32])
{
    uint8_t stream[BLOCK];
    block(random->key, 0, stream);
    for (int i = 0; i < 32; i++) {
        random->key[i] = (uint8_t)(stream[i] ^ seed[i]);
    }
    block(random->key, 0, stream); /* so that the seed alone isn't the state */
    memcpy(random->key, stream, 32);
}

void sb_random_bytes(struct sb_random *random, uint8_t *out, uint32_t size)
{
    uint8_t stream[BLOCK];
    uint8_t key[32];
    memcpy(key, random->key, 32);
    block(key, 0, stream);
    memcpy(random->key, stream, 32); /* erased before a byte is given */
    uint32_t counter = 1;
    for (uint32_t at = 0; at < size; counter++) { /* 2^32 bytes are 2^26 blocks */
        uint32_t part = size - at < BLOCK ? size - at : BLOCK;
        block(key, counter, stream);
        memcpy(out + at, stream, part);
        at += part;
    }
    memset(key, 0, sizeof key);
    memset(stream, 0, sizeof stream);
}

uint16_t sb_wasi_random_get(struct sb_wasi_slot *slot, struct sb_out *buf)
{
    if (!slot->policy.random) {
        return SB_E_NOTCAPABLE;
    }
    slot->host->random(slot->host->context, buf->bytes, buf->room);
    buf->used = buf->room;
    return SB_E_SUCCESS;
}
