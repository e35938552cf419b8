/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP's console framing: a packet is u16 length (big endian, of what follows), message, CRC-16/XMODEM (big endian), in
 * base64, cut into lines. The first line starts with 0x06 0x09, further ones with 0x04 0x14, each ends with '\n'.
 *
 * Contract: the decoder takes bytes as they come, whole or one by one, with the same result. Text outside frames, also
 * between the lines of a packet, is ignored; a broken line, length or CRC drops that packet and the next start marker
 * begins anew. Base64 is decoded straight into the packet buffer.
 *
 * Does NOT: know what a message says. Lines of the peer may have any length; ours have 127 bytes at most.
 * Source: Zephyr, "SMP Transport Specification", UART/serial and console.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SB_FRAME_MESSAGE_MAX 8192u                         /* bytes of one SMP message, header included */
#define SB_FRAME_PACKET_MAX (2u + SB_FRAME_MESSAGE_MAX + 2u) /* with length and CRC */
#define SB_FRAME_LINE_BASE64 120u                          /* base64 characters of one line that we send */
#define SB_FRAME_LINES(bytes) (((((bytes) + 2u) / 3u) * 4u + SB_FRAME_LINE_BASE64 - 1u) / SB_FRAME_LINE_BASE64)
/* Bytes on the wire of the longest answer. */
#define SB_FRAME_ENCODED_MAX (((SB_FRAME_PACKET_MAX + 2u) / 3u) * 4u + 3u * SB_FRAME_LINES(SB_FRAME_PACKET_MAX))

struct sb_frame_counters {
    uint64_t packets; /* whole and with the right CRC */
    uint64_t broken;  /* bad base64, length or CRC, or cut off by a new start */
};

struct sb_frame_decoder {
    uint32_t state;    /* private to console_frame.c */
    uint32_t bits;     /* base64 characters' bits not yet stored */
    uint32_t bit_count;
    uint32_t size;     /* bytes in packet */
    bool padded;       /* '=' seen in this line */
    bool open;         /* a packet has begun */
    struct sb_frame_counters counters;
    uint8_t packet[SB_FRAME_PACKET_MAX];
};

/*
 * Take bytes until a message is complete or `size` bytes are used; returns the number used. If a message is complete,
 * *message points to it (inside the decoder, valid until the next call) and *message_size is its length; otherwise
 * *message is NULL.
 */
size_t sb_frame_decode(struct sb_frame_decoder *decoder, const uint8_t *data, size_t size, const uint8_t **message,
                       size_t *message_size);

/*
 * Frame a message of at most SB_FRAME_MESSAGE_MAX bytes that lies at packet[2]; packet has room for two more bytes after
 * it (the CRC). Writes at most SB_FRAME_ENCODED_MAX bytes to `out`, returns how many.
 */
size_t sb_frame_encode(uint8_t *packet, size_t message_size, uint8_t *out);

/* CRC-16 of polynomial 0x1021, nothing reflected: from 0 it is CRC-16/XMODEM. */
uint16_t sb_crc16(uint16_t start, const uint8_t *data, size_t size);
