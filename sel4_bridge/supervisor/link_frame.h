/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The framings of SMP on one line, told apart by themselves: console lines (console_frame.h), cells with parity (cells.h),
 * whose first byte after a 00 is 80 to bf, and COBS frames
 *
 *   00, COBS of (message, CRC-32C of the message, big endian), 00
 *
 * in which no other byte is 0. An SMP message's second byte is 0, so the first byte after the 00 is 01 or 02 in every
 * COBS frame, and never in text or in a console line: whoever lost or doubled a 00 is right again with the next frame.
 *
 * Contract: as console_frame.h's decoder: bytes as they come, whole or one by one, with the same result. A frame that
 * is broken, or longer than a message may be, is dropped and counted. A COBS frame abandons an unfinished console packet.
 *
 * Does NOT: know what a message says.
 * Source: Cheshire and Baker, "Consistent Overhead Byte Stuffing" (1999); RFC 3720 appendix B.4 (CRC-32C).
 */
#pragma once

#include "cells.h"
#include "console_frame.h"

enum sb_framing { SB_FRAMING_CONSOLE = 0, SB_FRAMING_COBS, SB_FRAMING_CELLS };

#define SB_COBS_CRC 4u /* bytes */
/* Bytes of a buffer for sb_link_encode: 2 before the message; behind it what the longest of the framings needs. */
#define SB_LINK_PACKET_MAX (SB_CELLS_BEFORE + SB_FRAME_MESSAGE_MAX + SB_CELLS_BEHIND + SB_CELL_SIZE_MOST)
/* Bytes on the wire of the longest answer in COBS: a code byte every 254, and both ends. */
#define SB_COBS_ENCODED_MAX (SB_FRAME_MESSAGE_MAX + SB_COBS_CRC + (SB_FRAME_MESSAGE_MAX + SB_COBS_CRC) / 254u + 1u + 2u)
_Static_assert(SB_COBS_ENCODED_MAX <= SB_FRAME_ENCODED_MAX, "one size of buffer for both");

struct sb_link_decoder {
    struct sb_frame_decoder console; /* its counters count all kinds */
    uint32_t state;                  /* private to link_frame.c */
    uint32_t left;                   /* bytes until the next code byte */
    uint32_t size;                   /* bytes in message */
    bool zero;                       /* a 0 comes before the next block */
    bool spoilt;
    enum sb_framing framing; /* of the message that was complete last */
    uint32_t cell_size;      /* bytes in cell */
    uint8_t cell[SB_CELL_STUFFED_MOST];
    uint8_t message[SB_FRAME_MESSAGE_MAX + SB_COBS_CRC];
    struct sb_cells cells;
};

/* As sb_frame_decode(), for all framings; decoder->framing says which. */
size_t sb_link_decode(struct sb_link_decoder *decoder, const uint8_t *data, size_t size, const uint8_t **message,
                      size_t *message_size);

/* As sb_frame_encode(), the way the last message came; `packet` has SB_LINK_PACKET_MAX bytes. */
size_t sb_link_encode(struct sb_link_decoder *decoder, uint8_t *packet, size_t message_size, uint8_t *out);

uint32_t sb_crc32c(const uint8_t *data, size_t size);
