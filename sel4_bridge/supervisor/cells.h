/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP messages in cells with parity, for lines that lose bytes: the wire format is docs/PROTOCOL.md, "Cells".
 *
 * Contract: sb_cells_take() takes what lies between two zeros, COBS and all, and gives a message when k cells of its frame
 * have come, whichever they are. Two frames are under assembly at most; a cell of a third one drops the older. Nothing
 * is trusted before the CRC-16 of the cell, nothing is given out before the CRC-32C of the whole, and nothing twice, should
 * a cell that was damaged in spite of its CRC-16 make the rest of a frame look like another one. Work for a frame is
 * bounded by SB_CELLS_PARITY_MOST^2 * (SB_CELLS_PARITY_MOST + SB_CELL_SIZE_MOST) products.
 *
 * Does NOT: find the zeros (link_frame.c), or know what a message says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "console_frame.h"
#include "sb_cell_tables.h"

#define SB_CELL_HEAD 3u  /* bytes: number and loss class, k, index */
#define SB_CELL_CHECK 2u /* bytes of CRC-16 */
#define SB_CELL_BYTES_MOST (SB_CELL_HEAD + SB_CELL_SIZE_MOST + SB_CELL_CHECK)
#define SB_CELL_STUFFED_MOST (SB_CELL_BYTES_MOST + 1u)
#define SB_CELLS_BEFORE 2u /* bytes of content before the message, */
#define SB_CELLS_BEHIND 5u /* and behind it */
#define SB_CELLS_CONTENT_MOST (SB_CELLS_DATA_MOST * SB_CELL_SIZE_MOST)
#define SB_CELLS_PARITY_MOST 128u /* cells that can be missing: as many as there are others, of 256 in all */
_Static_assert(SB_CELLS_BEFORE + SB_FRAME_MESSAGE_MAX + SB_CELLS_BEHIND <= SB_CELLS_CONTENT_MOST, "the longest message");
_Static_assert(SB_CELL_STUFFED_MOST < 0x40u, "the first code byte, with 0x80 added, begins no UTF-8 text");
_Static_assert(SB_CELLS_WIRE_MOST <= SB_FRAME_ENCODED_MAX, "one size of buffer for all framings");

struct sb_cell_frame {
    uint8_t first; /* its cells' first byte: number << 3 | loss class */
    uint8_t k;     /* 0: no frame here */
    uint8_t size;  /* bytes of a cell's content */
    bool done;     /* given out, or dropped for its CRC-32C */
    bool given;    /* a frame was, ever: */
    uint8_t given_first;
    uint32_t given_crc;
    uint32_t arrived; /* different cells */
    uint32_t stored;  /* of them, those kept in content, in the order of `index` */
    uint32_t seen[8]; /* a bit for each index */
    uint8_t index[SB_CELLS_DATA_MOST];
    uint8_t content[SB_CELLS_CONTENT_MOST];
};

struct sb_cells {
    struct sb_cell_frame frames[2]; /* of even and of odd number */
    uint32_t expected, arrived;     /* cells of `measured_size` that the peer sent, and that came */
    uint8_t measured_size;
    uint8_t asked_size, asked_class; /* how the last message came, which is how it is answered */
    uint8_t number;                  /* of the next frame that we send */
    uint8_t matrix[SB_CELLS_PARITY_MOST * SB_CELLS_PARITY_MOST];
};

/* True: *message points into `cells`, valid until the next call. *broken: a frame is lost. */
bool sb_cells_take(struct sb_cells *cells, const uint8_t *stuffed, size_t size, const uint8_t **message,
                   size_t *message_size, bool *broken);

/*
 * Write a message of at most SB_FRAME_MESSAGE_MAX bytes at packet[SB_CELLS_BEFORE] as cells; packet has SB_CELLS_BEHIND +
 * SB_CELL_SIZE_MOST bytes behind it. Writes at most SB_CELLS_WIRE_MOST bytes to `out`, returns how many.
 */
size_t sb_cells_encode(struct sb_cells *cells, uint8_t *packet, size_t message_size, uint8_t *out);
