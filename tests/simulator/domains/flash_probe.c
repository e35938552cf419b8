/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver of the simulated flash, and an update on it: erase sector 1, write a body of two buffers, then one word that
 * says that the body is whole. Anything that the flash does otherwise than its data sheet ends in a fault.
 */
#include <microkit.h>
#include <stdint.h>

#include "sb_mmio.h"

#define DOUBLED(value) ((uint32_t)(value) << 16 | (uint32_t)(value))
#define SECTOR_WORDS 65536u
#define BUFFER_WORDS 512u
#define COMMIT 0x600df00du

uintptr_t sb_flash_vaddr;

static volatile uint32_t *flash(void)
{
    return (volatile uint32_t *)sb_flash_vaddr;
}

static void expect(uint32_t got, uint32_t wanted)
{
    if (got != wanted) {
        *(volatile uint32_t *)(uintptr_t)0xbad = got;
    }
}

static void command(uint32_t index, uint32_t value)
{
    sb_mmio_write32(&flash()[index], DOUBLED(value));
}

static void finish(void)
{
    expect(sb_mmio_read32(flash()), DOUBLED(0x80));
    command(0, 0xff);
}

static void erase(uint32_t index)
{
    command(index, 0x20);
    command(index, 0xd0);
    finish();
    expect(flash()[index], 0xffffffffu); /* array mode: a plain read */
}

static void write_buffer(uint32_t index, uint32_t seed)
{
    command(index, 0xe8);
    expect(sb_mmio_read32(&flash()[index]), DOUBLED(0x80));
    command(index, BUFFER_WORDS - 1);
    for (uint32_t i = 0; i < BUFFER_WORDS; i++) {
        sb_mmio_write32(&flash()[index + i], seed + i);
    }
    command(index, 0xd0);
    finish();
    expect(flash()[index + BUFFER_WORDS - 1], seed + BUFFER_WORDS - 1);
}

static void write_word(uint32_t index, uint32_t value)
{
    command(index, 0x40);
    sb_mmio_write32(&flash()[index], value);
    finish();
}

static void identify(void)
{
    command(0, 0x98);
    expect(sb_mmio_read32(&flash()[0x10]), DOUBLED('Q'));
    expect(sb_mmio_read32(&flash()[0x27]), DOUBLED(19)); /* 512 KiB a chip */
    command(0, 0xff);
}

void init(void)
{
    identify();
    write_word(0, 0x0000ffffu);
    write_word(0, 0x12345678u); /* programming clears bits only */
    expect(flash()[0], 0x00005678u);
    erase(SECTOR_WORDS);
    write_buffer(SECTOR_WORDS + BUFFER_WORDS, 1000);
    write_buffer(SECTOR_WORDS + 2 * BUFFER_WORDS, 5000);
    write_word(SECTOR_WORDS, COMMIT);
}

void notified(microkit_channel ch)
{
    (void)ch;
}
