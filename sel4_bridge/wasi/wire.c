/* SPDX-License-Identifier: Apache-2.0 */
/* See wire.h. The engine may change the shared buffer at any time: bytes are copied once and only the copy is used. */
#include "wire.h"

#include <string.h>

/* One server serves one call at a time. */
static uint8_t scratch[SB_IO_SIZE];

static uint64_t take(struct sb_wire *wire)
{
    if (wire->next >= wire->message->count || wire->next >= SB_MESSAGE_WORDS) {
        wire->bad = true;
        return 0;
    }
    return wire->message->words[wire->next++];
}

uint32_t sb_take_u32(struct sb_wire *wire)
{
    uint64_t word = take(wire);
    if (word > UINT32_MAX) {
        wire->bad = true;
    }
    return (uint32_t)word;
}

uint64_t sb_take_u64(struct sb_wire *wire)
{
    return take(wire);
}

struct sb_in sb_take_in(struct sb_wire *wire)
{
    uint64_t size = take(wire);
    if (wire->bad || size > SB_IO_SIZE - wire->in_size) {
        wire->bad = true;
        return (struct sb_in){scratch, 0};
    }
    struct sb_in in = {scratch + wire->in_size, (uint32_t)size};
    memcpy(scratch + wire->in_size, wire->slot->io + wire->in_size, size);
    wire->in_size += in.size;
    return in;
}

struct sb_out sb_take_room(struct sb_wire *wire)
{
    uint64_t room = take(wire);
    if (room > SB_IO_SIZE) {
        wire->bad = true;
        room = 0;
    }
    return (struct sb_out){wire->slot->io, (uint32_t)room, 0};
}

struct sb_out sb_take_fixed(struct sb_wire *wire, uint32_t size)
{
    return (struct sb_out){wire->slot->io, size, 0};
}

struct sb_address sb_take_address(struct sb_wire *wire)
{
    uint64_t size = take(wire);
    const uint64_t words[2] = {take(wire), take(wire)};
    struct sb_address address = {(uint32_t)size, {0}};
    memcpy(address.bytes, words, sizeof words);
    wire->bad |= size != 0 && size != 4 && size != 16;
    return address;
}

bool sb_taken(const struct sb_wire *wire)
{
    return !wire->bad && wire->next == wire->message->count;
}

void sb_give_error(struct sb_wire *wire, uint16_t error)
{
    wire->message->label = 0;
    wire->message->words[0] = error;
    wire->message->count = 1;
    wire->bad = error != SB_E_SUCCESS;
}

void sb_give(struct sb_wire *wire, uint64_t value)
{
    if (!wire->bad && wire->message->count < SB_MESSAGE_WORDS) {
        wire->message->words[wire->message->count++] = value;
    }
}
