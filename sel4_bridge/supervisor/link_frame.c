/* SPDX-License-Identifier: Apache-2.0 */
/* See link_frame.h. */
#include "link_frame.h"

#include <string.h>

enum {
    STATE_CONSOLE = 0, /* text and console lines */
    STATE_ZERO,        /* after a 00: the next byte decides */
    STATE_COBS,
    STATE_CELL,
};

enum { LONGEST_BLOCK = 0xff }; /* code byte of 254 bytes without a 0 behind them */

uint32_t sb_crc32c(const uint8_t *data, size_t size)
{
    static const uint32_t table[16] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
    0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
    0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        crc = crc >> 4 ^ table[crc & 15u];
        crc = crc >> 4 ^ table[crc & 15u];
    }
    return ~crc;
}

static uint32_t read_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void begin(struct sb_link_decoder *d, uint32_t state)
{
    d->console.counters.broken += d->console.open;
    d->console.open = false;
    d->state = state;
    d->cell_size = 0;
    d->left = 0;
    d->size = 0;
    d->zero = false;
    d->spoilt = false;
}

static void put(struct sb_link_decoder *d, const uint8_t *data, size_t size)
{
    if (size > sizeof d->message - d->size) {
        d->spoilt = true;
        return;
    }
    memcpy(d->message + d->size, data, size);
    d->size += (uint32_t)size;
}

/* The frame ended: true if it is whole and good. */
static bool end(struct sb_link_decoder *d, const uint8_t **message, size_t *message_size)
{
    if (d->spoilt || d->left != 0 || d->size < SB_COBS_CRC ||
        sb_crc32c(d->message, d->size - SB_COBS_CRC) != read_be32(d->message + d->size - SB_COBS_CRC)) {
        d->console.counters.broken++;
        return false;
    }
    d->console.counters.packets++;
    d->framing = SB_FRAMING_COBS;
    *message = d->message;
    *message_size = d->size - SB_COBS_CRC;
    return true;
}

static void take_cell(struct sb_link_decoder *d, const uint8_t *data, size_t size)
{
    if (size > sizeof d->cell - d->cell_size) {
        d->spoilt = true; /* two cells whose zero was lost */
        return;
    }
    memcpy(d->cell + d->cell_size, data, size);
    d->cell_size += (uint32_t)size;
}

/* The cell ended: true if it makes a message whole. Broken cells are no news here; frames that lack too many are. */
static bool end_cell(struct sb_link_decoder *d, const uint8_t **message, size_t *message_size)
{
    bool broken = false;
    bool whole = !d->spoilt && sb_cells_take(&d->cells, d->cell, d->cell_size, message, message_size, &broken);
    d->console.counters.broken += broken;
    d->console.counters.packets += whole;
    if (whole) {
        d->framing = SB_FRAMING_CELLS;
    }
    return whole;
}

/* Bytes of a frame that are not 0. Bounded: each round takes one. */
static void take(struct sb_link_decoder *d, const uint8_t *data, size_t size)
{
    static const uint8_t zero = 0;
    for (size_t at = 0; at < size;) {
        if (d->left == 0) {
            if (d->zero) {
                put(d, &zero, 1);
            }
            d->zero = data[at] != LONGEST_BLOCK;
            d->left = data[at] - 1u;
            at++;
        } else {
            size_t count = size - at < d->left ? size - at : d->left;
            put(d, data + at, count);
            d->left -= (uint32_t)count;
            at += count;
        }
    }
}

static size_t until_zero(const uint8_t *data, size_t size)
{
    size_t count = 0;
    while (count < size && data[count] != 0) {
        count++;
    }
    return count;
}

size_t sb_link_decode(struct sb_link_decoder *d, const uint8_t *data, size_t size, const uint8_t **message,
                      size_t *message_size)
{
    size_t used = 0;
    *message = NULL;
    *message_size = 0;
    while (used < size) {
        if (d->state == STATE_ZERO) {
            if (data[used] == 1 || data[used] == 2) {
                begin(d, STATE_COBS);
            } else if (data[used] >> 6 == 2) { /* 80 to bf */
                begin(d, STATE_CELL);
            } else if (data[used] == 0) {
                used++;
            } else {
                d->state = STATE_CONSOLE;
            }
            continue;
        }
        size_t count = until_zero(data + used, size - used);
        bool ends = used + count < size;
        if (d->state == STATE_CONSOLE) {
            size_t taken = sb_frame_decode(&d->console, data + used, count + ends, message, message_size);
            used += taken;
            d->framing = SB_FRAMING_CONSOLE;
            d->state = ends && taken == count + 1 ? STATE_ZERO : STATE_CONSOLE;
            if (*message != NULL) {
                return used;
            }
            continue;
        }
        bool cell = d->state == STATE_CELL;
        if (cell) {
            take_cell(d, data + used, count);
        } else {
            take(d, data + used, count);
        }
        used += count + ends;
        if (ends) {
            d->state = STATE_ZERO;
            if (cell ? end_cell(d, message, message_size) : end(d, message, message_size)) {
                return used;
            }
        }
    }
    return used;
}

static size_t cobs_encode(uint8_t *packet, size_t message_size, uint8_t *out)
{
    const uint8_t *data = packet + 2;
    uint32_t crc = sb_crc32c(data, message_size);
    for (unsigned i = 0; i < SB_COBS_CRC; i++) {
        packet[2 + message_size + i] = (uint8_t)(crc >> (24u - 8u * i));
    }
    size_t size = message_size + SB_COBS_CRC;
    uint8_t *o = out;
    *o++ = 0;
    for (size_t at = 0;;) {
        size_t most = size - at < LONGEST_BLOCK - 1u ? size - at : LONGEST_BLOCK - 1u;
        size_t count = until_zero(data + at, most);
        *o++ = (uint8_t)(count + 1);
        memcpy(o, data + at, count);
        o += count;
        at += count;
        if (count == LONGEST_BLOCK - 1u) { /* no 0 follows this block, and none at the end is left over */
            if (at == size) {
                break;
            }
        } else if (at == size) {
            break;
        } else {
            at++; /* the 0 */
            if (at == size) { /* it was the last byte: an empty block stands for what follows it */
                *o++ = 1;
                break;
            }
        }
    }
    *o++ = 0;
    return (size_t)(o - out);
}

size_t sb_link_encode(struct sb_link_decoder *d, uint8_t *packet, size_t message_size, uint8_t *out)
{
    switch (d->framing) {
    case SB_FRAMING_CELLS:
        return sb_cells_encode(&d->cells, packet, message_size, out);
    case SB_FRAMING_COBS:
        return cobs_encode(packet, message_size, out);
    case SB_FRAMING_CONSOLE:
    default:
        return sb_frame_encode(packet, message_size, out);
    }
}
