/* SPDX-License-Identifier: Apache-2.0 */
/* See chips.h. */
#include "chips.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sb_mmio.h"

#define DOUBLED(value) ((uint32_t)(value) * 0x10001u)
#define READY 0x80u

enum step { IDLE, ERASE, WORD, COUNT, DATA, CONFIRM };

uint64_t chips_operations;
uint64_t chips_cut_at;
enum chips_phase chips_cut_phase;
uint32_t chips_buffer = 4096;

static uint8_t *bytes;
static uint32_t size;
static enum step step;
static enum { ARRAY, STATUS, QUERY } mode;
static uint32_t at, count, filled;
static uint32_t words[1024], places[1024];

static _Noreturn void misuse(const char *what)
{
    fprintf(stderr, "the driver did what chips do not forgive: %s\n", what);
    abort();
}

void chips_init(uint8_t *memory, uint32_t memory_size)
{
    bytes = memory;
    size = memory_size;
    chips_power_on();
}

void chips_power_on(void)
{
    step = IDLE;
    mode = ARRAY;
}

static void program(uint32_t place, uint32_t value)
{
    uint32_t old;
    memcpy(&old, bytes + place, 4);
    if ((old & value) != value) {
        misuse("a zero programmed to one");
    }
    memcpy(bytes + place, &value, 4);
}

/* The operation's `units` one after the other: how many of them happen before power goes. */
static uint32_t begin_operation(uint32_t units)
{
    chips_operations++;
    if (chips_operations != chips_cut_at) {
        return units;
    }
    if (chips_cut_phase == CHIPS_BEFORE) {
        chips_cut();
    }
    return chips_cut_phase == CHIPS_HALF ? units / 2 : units;
}

static void end_operation(void)
{
    mode = STATUS;
    step = IDLE;
    if (chips_operations == chips_cut_at) {
        chips_cut();
    }
}

static void program_buffer(void)
{
    uint32_t units = begin_operation(count);
    for (uint32_t i = 0; i < units; i++) {
        program(places[i], words[i]);
    }
    end_operation();
}

static void erase(uint32_t sector)
{
    uint32_t units = begin_operation(CHIPS_SECTOR);
    memset(bytes + sector, 0xff, units);
    end_operation();
}

static void first_cycle(uint32_t offset, uint32_t command)
{
    at = offset;
    switch (command) {
    case DOUBLED(0xff):
        mode = ARRAY;
        break;
    case DOUBLED(0x50): /* clear status: no operation fails here */
        break;
    case DOUBLED(0x98):
        mode = offset == 0x55 * 4 ? QUERY : mode;
        break;
    case DOUBLED(0x20):
        step = ERASE;
        break;
    case DOUBLED(0x40):
        step = WORD;
        break;
    case DOUBLED(0xe8):
        if (chips_buffer == 0) {
            misuse("a buffer that they do not have");
        }
        mode = STATUS;
        step = COUNT;
        break;
    default:
        misuse("an unknown command");
    }
}

void sb_mmio_write32(volatile uint32_t *address, uint32_t value)
{
    uint32_t offset = (uint32_t)((volatile uint8_t *)address - bytes);
    if (offset >= size || offset % 4 != 0) {
        misuse("an address outside");
    }
    switch (step) {
    case IDLE:
        first_cycle(offset, value);
        break;
    case ERASE:
        if (value != DOUBLED(0xd0) || offset != at || offset % CHIPS_SECTOR != 0) {
            misuse("an erase that is not confirmed");
        }
        erase(offset);
        break;
    case WORD:
        count = begin_operation(2);
        program(offset, count == 1 ? value | 0xffff0000u : value); /* half: one of the chips */
        end_operation();
        break;
    case COUNT:
        count = (value & 0xffffu) + 1;
        filled = 0;
        if (value >> 16 != (value & 0xffffu) || count * 4 > chips_buffer || offset != at) {
            misuse("more than the buffer takes");
        }
        step = DATA;
        break;
    case DATA:
        if (offset / chips_buffer != at / chips_buffer) {
            misuse("data outside the buffer's block");
        }
        places[filled] = offset;
        words[filled++] = value;
        step = filled == count ? CONFIRM : DATA;
        break;
    case CONFIRM:
        if (value != DOUBLED(0xd0)) {
            misuse("a buffer that is not confirmed");
        }
        program_buffer();
        break;
    }
}

uint32_t sb_mmio_read32(const volatile uint32_t *address)
{
    uint32_t index = (uint32_t)((const volatile uint8_t *)address - bytes) / 4;
    uint32_t log2_buffer = 0;
    if (mode == STATUS) {
        return DOUBLED(READY);
    }
    if (mode == ARRAY) {
        misuse("status or query read from the array");
    }
    while (chips_buffer != 0 && 2u << log2_buffer < chips_buffer) {
        log2_buffer++;
    }
    switch (index) {
    case 0x10:
        return DOUBLED('Q');
    case 0x11:
        return DOUBLED('R');
    case 0x12:
        return DOUBLED('Y');
    case 0x13:
        return DOUBLED(1);
    case 0x27:
        return DOUBLED(25);
    case 0x2a:
        return DOUBLED(log2_buffer);
    case 0x2c:
        return DOUBLED(1);
    case 0x30:
        return DOUBLED(CHIPS_SECTOR / 2 / 256 >> 8);
    default:
        return 0;
    }
}
