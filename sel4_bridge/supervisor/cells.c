/* SPDX-License-Identifier: Apache-2.0 */
/* See cells.h. */
#include "cells.h"

#include <string.h>

#include "link_frame.h"

enum { CRC_START = 0xffff, CLASS_BITS = 3, LEAST_WINDOW = 32, WINDOW = 512, REPORT_ALL = 255, FIRST_CODE = 0x80 };

/* GF(256): sb_gf_powers goes round twice, so that a sum of two logarithms needs no remainder. */
static uint8_t product(uint8_t a, uint8_t b)
{
    return a == 0 || b == 0 ? 0 : sb_gf_powers[sb_gf_logs[a] + sb_gf_logs[b]];
}

static uint8_t inverse(uint8_t a)
{
    return sb_gf_powers[255u - sb_gf_logs[a]];
}

/* sum += factor * data */
static void add_times(uint8_t *sum, const uint8_t *data, size_t size, uint8_t factor)
{
    if (factor == 0) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        sum[i] ^= product(data[i], factor);
    }
}

static void scale(uint8_t *data, size_t size, uint8_t factor)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = product(data[i], factor);
    }
}

static unsigned cell_count(unsigned loss_class, unsigned k, unsigned size)
{
    unsigned count = sb_cell_counts[loss_class][k - 1u] + 1u;
    unsigned room = SB_CELLS_WIRE_MOST / (size + SB_CELL_WIRE_OVERHEAD);
    return count < room ? count : room;
}

/* COBS of a cell back into the cell; 0: it is none. */
static size_t unstuff(const uint8_t *in, size_t size, uint8_t out[SB_CELL_BYTES_MOST])
{
    size_t written = 0;
    for (size_t at = 0; at < size;) { /* bounded: a code byte moves on by one at least */
        size_t code = at == 0 ? in[0] & 0x7fu : in[at];
        size_t block = code - 1u;
        if (code == 0 || block > size - at - 1u || written + block + 1u > SB_CELL_BYTES_MOST + 1u) {
            return 0;
        }
        memcpy(out + written, in + at + 1, block);
        written += block;
        at += code;
        if (at < size) {
            if (written == SB_CELL_BYTES_MOST) {
                return 0;
            }
            out[written++] = 0;
        }
    }
    return written;
}

/* A frame of which no more cells will come. */
static void measure(struct sb_cells *cells, const struct sb_cell_frame *frame)
{
    if (frame->size != cells->measured_size) {
        cells->expected = 0;
        cells->arrived = 0;
        cells->measured_size = frame->size;
    }
    cells->expected += cell_count(frame->first & (SB_CELL_CLASSES - 1u), frame->k, frame->size);
    cells->arrived += frame->arrived;
    if (cells->expected >= WINDOW) {
        cells->expected /= 2;
        cells->arrived /= 2;
    }
}

static uint8_t report(const struct sb_cells *cells)
{
    if (cells->expected < LEAST_WINDOW) {
        return 0;
    }
    uint32_t share = cells->arrived * REPORT_ALL / cells->expected;
    return (uint8_t)(share < 1 ? 1 : share < REPORT_ALL ? share : REPORT_ALL);
}

static void swap_cells(struct sb_cell_frame *frame, unsigned a, unsigned b)
{
    uint8_t kept[SB_CELL_SIZE_MOST];
    uint8_t *at_a = frame->content + (size_t)a * frame->size;
    uint8_t *at_b = frame->content + (size_t)b * frame->size;
    memcpy(kept, at_a, frame->size);
    memcpy(at_a, at_b, frame->size);
    memcpy(at_b, kept, frame->size);
    uint8_t index = frame->index[a];
    frame->index[a] = frame->index[b];
    frame->index[b] = index;
}

/*
 * Cells of content to where they belong; parity is left where content is missing. Returns how many are, `missing` says
 * where. Bounded: each exchange brings one cell to its place for good.
 */
static unsigned sort(struct sb_cell_frame *frame, uint8_t missing[SB_CELLS_PARITY_MOST])
{
    unsigned count = 0;
    for (unsigned at = 0; at < frame->k; at++) {
        while (frame->index[at] < frame->k && frame->index[at] != at) {
            swap_cells(frame, at, frame->index[at]);
        }
    }
    for (unsigned at = 0; at < frame->k; at++) {
        if (frame->index[at] >= frame->k && count < SB_CELLS_PARITY_MOST) {
            missing[count++] = (uint8_t)at;
        }
    }
    return count;
}

/*
 * The parity cells become the missing ones. A square part of a Cauchy matrix has an inverse, and so has each part at its
 * upper left: no pivot is ever 0.
 */
static void solve(struct sb_cells *cells, struct sb_cell_frame *frame, const uint8_t *missing, unsigned count)
{
    size_t size = frame->size;
    uint8_t *a = cells->matrix;
    for (unsigned row = 0; row < count; row++) {
        uint8_t index = frame->index[missing[row]];
        uint8_t *cell = frame->content + missing[row] * size;
        for (unsigned column = 0; column < frame->k; column++) {
            if (frame->index[column] == column) {
                add_times(cell, frame->content + column * size, size, inverse((uint8_t)(index ^ column)));
            }
        }
        for (unsigned column = 0; column < count; column++) {
            a[row * count + column] = inverse(index ^ missing[column]);
        }
    }
    for (unsigned at = 0; at < count; at++) {
        uint8_t *line = a + (size_t)at * count;
        uint8_t *cell = frame->content + missing[at] * size;
        uint8_t factor = inverse(line[at]);
        scale(line, count, factor);
        scale(cell, size, factor);
        for (unsigned row = 0; row < count; row++) {
            if (row != at) {
                factor = a[row * count + at];
                add_times(frame->content + missing[row] * size, cell, size, factor);
                add_times(a + (size_t)row * count, line, count, factor);
            }
        }
    }
}

static bool finish(struct sb_cells *cells, struct sb_cell_frame *frame, const uint8_t **message, size_t *message_size)
{
    uint8_t missing[SB_CELLS_PARITY_MOST];
    unsigned count = sort(frame, missing);
    solve(cells, frame, missing, count);
    const uint8_t *p = frame->content;
    size_t room = (size_t)frame->k * frame->size;
    size_t size = (size_t)p[0] << 8 | p[1];
    if (size > SB_FRAME_MESSAGE_MAX || SB_CELLS_BEFORE + size + SB_CELLS_BEHIND > room) {
        return false;
    }
    size_t end = SB_CELLS_BEFORE + size + 1u; /* with the report */
    uint32_t crc = (uint32_t)p[end] << 24 | (uint32_t)p[end + 1] << 16 | (uint32_t)p[end + 2] << 8 | p[end + 3];
    if (sb_crc32c(p, end) != crc || (frame->given && frame->given_first == frame->first && frame->given_crc == crc)) {
        return false;
    }
    frame->given = true;
    frame->given_first = frame->first;
    frame->given_crc = crc;
    cells->asked_size = frame->size;
    cells->asked_class = frame->first & (SB_CELL_CLASSES - 1u);
    *message = p + SB_CELLS_BEFORE;
    *message_size = size;
    return true;
}

bool sb_cells_take(struct sb_cells *cells, const uint8_t *stuffed, size_t stuffed_size, const uint8_t **message,
                   size_t *message_size, bool *broken)
{
    uint8_t cell[SB_CELL_BYTES_MOST];
    size_t whole = unstuff(stuffed, stuffed_size, cell);
    *broken = false;
    if (whole < SB_CELL_HEAD + SB_CELL_SIZE_LEAST + SB_CELL_CHECK || sb_crc16(CRC_START, cell, whole) != 0) {
        return false; /* the CRC over a cell and its CRC is zero */
    }
    uint8_t size = (uint8_t)(whole - SB_CELL_HEAD - SB_CELL_CHECK);
    uint8_t first = cell[0], k = cell[1], index = cell[2];
    if (k < 1 || k > SB_CELLS_DATA_MOST) {
        return false;
    }
    struct sb_cell_frame *frame = &cells->frames[first >> CLASS_BITS & 1u];
    if (frame->first != first || frame->k != k || frame->size != size) {
        if (frame->k != 0) {
            measure(cells, frame);
            *broken = !frame->done;
        }
        frame->first = first;
        frame->k = k;
        frame->size = size;
        frame->done = false;
        frame->arrived = 0;
        frame->stored = 0;
        memset(frame->seen, 0, sizeof frame->seen);
    }
    uint32_t bit = 1u << (index & 31u);
    if ((frame->seen[index / 32u] & bit) != 0) {
        return false;
    }
    frame->seen[index / 32u] |= bit;
    frame->arrived++;
    if (frame->done) {
        return false;
    }
    frame->index[frame->stored] = index;
    memcpy(frame->content + (size_t)frame->stored * size, cell + SB_CELL_HEAD, size);
    frame->stored++;
    if (frame->stored < k) {
        return false;
    }
    frame->done = true;
    if (!finish(cells, frame, message, message_size)) {
        *broken = true;
        return false;
    }
    return true;
}

/* One cell with its CRC, stuffed, and the zero behind it. */
static size_t put_cell(uint8_t cell[SB_CELL_BYTES_MOST], size_t size, uint8_t *out)
{
    uint16_t crc = sb_crc16(CRC_START, cell, size);
    cell[size] = (uint8_t)(crc >> 8);
    cell[size + 1] = (uint8_t)crc;
    size_t code_at = 0, written = 1;
    for (size_t i = 0; i < size + SB_CELL_CHECK; i++) {
        if (cell[i] == 0) {
            out[code_at] = (uint8_t)(written - code_at);
            code_at = written++;
        } else {
            out[written++] = cell[i];
        }
    }
    out[code_at] = (uint8_t)(written - code_at);
    out[0] |= FIRST_CODE;
    out[written++] = 0;
    return written;
}

size_t sb_cells_encode(struct sb_cells *cells, uint8_t *packet, size_t message_size, uint8_t *out)
{
    size_t end = SB_CELLS_BEFORE + message_size;
    packet[0] = (uint8_t)(message_size >> 8);
    packet[1] = (uint8_t)message_size;
    packet[end++] = report(cells);
    uint32_t crc = sb_crc32c(packet, end);
    for (unsigned shift = 32; shift > 0; shift -= 8) {
        packet[end++] = (uint8_t)(crc >> (shift - 8u));
    }
    size_t least = (end + SB_CELLS_DATA_MOST - 1u) / SB_CELLS_DATA_MOST;
    size_t size = cells->asked_size > least ? cells->asked_size : least;
    unsigned k = (unsigned)((end + size - 1u) / size);
    memset(packet + end, 0, k * size - end);

    unsigned count = cell_count(cells->asked_class, k, (unsigned)size);
    uint8_t cell[SB_CELL_BYTES_MOST];
    uint8_t *o = out;
    *o++ = 0;
    for (unsigned index = 0; index < count; index++) {
        cell[0] = (uint8_t)(cells->number << CLASS_BITS | cells->asked_class);
        cell[1] = (uint8_t)k;
        cell[2] = (uint8_t)index;
        if (index < k) {
            memcpy(cell + SB_CELL_HEAD, packet + index * size, size);
        } else {
            memset(cell + SB_CELL_HEAD, 0, size);
            for (unsigned column = 0; column < k; column++) {
                add_times(cell + SB_CELL_HEAD, packet + column * size, size, inverse((uint8_t)(index ^ column)));
            }
        }
        o += put_cell(cell, SB_CELL_HEAD + size, o);
    }
    cells->number = (cells->number + 1u) & (SB_CELL_NUMBERS - 1u);
    return (size_t)(o - out);
}
