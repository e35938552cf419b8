/* SPDX-License-Identifier: Apache-2.0 */
/* Console framing of SMP: see console_frame.h. */
#include "console_frame.h"

#include "console_tables.h"

enum {
    STATE_TEXT = 0, /* outside a frame */
    STATE_START,    /* 0x06 was seen */
    STATE_CONTINUE, /* 0x04 was seen */
    STATE_LINE,     /* base64 of an open packet's line */
};

enum { START_1 = 0x06, START_2 = 0x09, CONTINUE_1 = 0x04, CONTINUE_2 = 0x14 };

uint16_t sb_crc16(uint16_t start, const uint8_t *data, size_t size)
{
    uint16_t crc = start;
    for (size_t i = 0; i < size; i++) {
        crc = (uint16_t)(crc << 8 ^ sb_crc16_table[(crc >> 8 ^ data[i]) & 0xffu]);
    }
    return crc;
}

static void drop(struct sb_frame_decoder *d)
{
    d->counters.broken += d->open;
    d->open = false;
    d->state = STATE_TEXT;
}

/* Bytes that the packet says it has, with the length itself; the longest possible while that is unknown. */
static size_t wanted(const struct sb_frame_decoder *d)
{
    return d->size < 2 ? SB_FRAME_PACKET_MAX : 2u + ((size_t)d->packet[0] << 8 | d->packet[1]);
}

/* The line ended: true if the packet is whole and good. */
static bool end_line(struct sb_frame_decoder *d)
{
    d->state = STATE_TEXT;
    if (d->size < wanted(d)) {
        return false; /* more lines follow */
    }
    d->open = false;
    if (d->size != wanted(d) || d->size < 4 || sb_crc16(0, &d->packet[2], d->size - 2u) != 0) {
        d->counters.broken++; /* the CRC over message and CRC is zero */
        return false;
    }
    d->counters.packets++;
    return true;
}

/* One character of a line that is not part of a plain group of four. False: it doesn't belong here. */
static bool line_character(struct sb_frame_decoder *d, uint8_t c)
{
    uint8_t value = sb_base64_values[c];
    if (c == '=') {
        d->padded = true;
        d->bits = 0;
        d->bit_count = 0;
        return true;
    }
    if (c == '\r') {
        return true;
    }
    if (value >= 64 || d->padded) {
        return false;
    }
    d->bits = d->bits << 6 | value;
    d->bit_count += 6;
    if (d->bit_count >= 8) {
        if (d->size >= SB_FRAME_PACKET_MAX) {
            return false;
        }
        d->bit_count -= 8;
        d->packet[d->size++] = (uint8_t)(d->bits >> d->bit_count);
    }
    return true;
}

/* Groups of four characters, three bytes each, as far as they go. Returns the characters used. */
static size_t line_groups(struct sb_frame_decoder *d, const uint8_t *data, size_t size)
{
    size_t used = 0;
    uint32_t at = d->size;
    while (size - used >= 4 && SB_FRAME_PACKET_MAX - at >= 3) {
        uint32_t a = sb_base64_values[data[used]];
        uint32_t b = sb_base64_values[data[used + 1]];
        uint32_t c = sb_base64_values[data[used + 2]];
        uint32_t e = sb_base64_values[data[used + 3]];
        if ((a | b | c | e) >= 64) {
            break;
        }
        uint32_t group = a << 18 | b << 12 | c << 6 | e;
        d->packet[at] = (uint8_t)(group >> 16);
        d->packet[at + 1] = (uint8_t)(group >> 8);
        d->packet[at + 2] = (uint8_t)group;
        at += 3;
        used += 4;
    }
    d->size = at;
    return used;
}

/* What a byte outside base64 means. */
static void text_character(struct sb_frame_decoder *d, uint8_t c)
{
    if (d->state == STATE_START && c == START_2) {
        drop(d); /* an unfinished packet before this one */
        d->open = true;
        d->size = 0;
        d->bits = 0;
        d->bit_count = 0;
        d->padded = false;
        d->state = STATE_LINE;
    } else if (d->state == STATE_CONTINUE && c == CONTINUE_2 && d->open) {
        d->padded = false; /* a sender may pad each line, or none but the last */
        d->state = STATE_LINE;
    } else {
        d->state = c == START_1 ? STATE_START : c == CONTINUE_1 ? STATE_CONTINUE : STATE_TEXT;
    }
}

size_t sb_frame_decode(struct sb_frame_decoder *d, const uint8_t *data, size_t size, const uint8_t **message,
                       size_t *message_size)
{
    size_t used = 0;
    *message = NULL;
    *message_size = 0;
    while (used < size) {
        if (d->state == STATE_LINE && d->bit_count == 0 && !d->padded) {
            used += line_groups(d, data + used, size - used);
            if (used == size) {
                break;
            }
        }
        uint8_t c = data[used++];
        if (d->state != STATE_LINE) {
            text_character(d, c);
        } else if (c == '\n') {
            if (end_line(d)) {
                *message = &d->packet[2];
                *message_size = d->size - 4u;
                return used;
            }
        } else if (!line_character(d, c)) {
            drop(d);
            text_character(d, c); /* it may be the first byte of a new marker */
        }
    }
    return used;
}

size_t sb_frame_encode(uint8_t *packet, size_t message_size, uint8_t *out)
{
    size_t length = message_size + 2; /* with the CRC */
    uint16_t crc = sb_crc16(0, packet + 2, message_size);
    packet[0] = (uint8_t)(length >> 8);
    packet[1] = (uint8_t)length;
    packet[2 + message_size] = (uint8_t)(crc >> 8);
    packet[3 + message_size] = (uint8_t)crc;

    size_t size = length + 2;
    uint8_t *o = out;
    for (size_t at = 0; at < size;) {
        *o++ = at == 0 ? START_1 : CONTINUE_1;
        *o++ = at == 0 ? START_2 : CONTINUE_2;
        for (size_t left = SB_FRAME_LINE_BASE64 / 4; left > 0 && at < size; left--) {
            size_t count = size - at < 3 ? size - at : 3;
            uint32_t group = (uint32_t)packet[at] << 16;
            group |= count > 1 ? (uint32_t)packet[at + 1] << 8 : 0;
            group |= count > 2 ? (uint32_t)packet[at + 2] : 0;
            *o++ = sb_base64_digits[group >> 18];
            *o++ = sb_base64_digits[group >> 12 & 63u];
            *o++ = count > 1 ? sb_base64_digits[group >> 6 & 63u] : '=';
            *o++ = count > 2 ? sb_base64_digits[group & 63u] : '=';
            at += count;
        }
        *o++ = '\n';
    }
    return (size_t)(o - out);
}
