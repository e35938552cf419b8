/* SPDX-License-Identifier: Apache-2.0 */
/* See flash.h. Every command goes to both chips at once: its 16 bits twice. */
#include "flash.h"

#include <string.h>

#include "sb_counter.h"
#include "sb_mmio.h"

#define WORD 4u /* bytes of the bus: one 16-bit word of each chip */
#define BOTH(value) ((uint32_t)(value) * 0x00010001u)

enum command {
    READ_ARRAY = 0xff,
    READ_QUERY = 0x98,
    CLEAR_STATUS = 0x50,
    ERASE = 0x20,
    PROGRAM_WORD = 0x40,
    PROGRAM_BUFFER = 0xe8,
    CONFIRM = 0xd0,
};

/* Status register */
enum { STATUS_READY = 0x80, STATUS_ERRORS = 0x3a /* erase, program, voltage, locked */ };

/* Query words: JESD68.01, tables 1 to 3 */
enum {
    QUERY_COMMAND_AT = 0x55,
    QUERY_TEXT = 0x10, /* "QRY" */
    QUERY_COMMAND_SET = 0x13,
    QUERY_SIZE = 0x27,    /* log2 of a chip's bytes */
    QUERY_BUFFER = 0x2a,  /* log2 of the write buffer's bytes, 0: none */
    QUERY_REGIONS = 0x2c, /* of sectors of the same size */
    QUERY_SECTOR = 0x2f,  /* first region's sector, in 256 bytes, low byte; high byte follows */
};
enum { INTEL_EXTENDED = 1, INTEL_STANDARD = 3 };

#define MAX_BUFFER 2048u      /* bytes on the bus, also where the chips could take more */
#define PROGRAM_LIMIT_MS 100u /* far above any datasheet's maximum for a buffer (2 ms) */
#define ERASE_LIMIT_MS 10000u /* the same for a sector (4 s) */

static volatile uint32_t *at(const struct sb_flash *flash, uint32_t offset)
{
    return flash->base + offset / WORD;
}

static void command(const struct sb_flash *flash, uint32_t offset, enum command what)
{
    sb_mmio_write32(at(flash, offset), BOTH(what));
}

static void finish(const struct sb_flash *flash)
{
    command(flash, 0, CLEAR_STATUS);
    command(flash, 0, READ_ARRAY);
}

/* Both chips ready within the time; every read gives their status. */
static enum sb_flash_status wait_ready(const struct sb_flash *flash, uint32_t offset, uint64_t limit_ms)
{
    uint64_t until = sb_counter_ticks() + sb_counter_hz() / 1000u * limit_ms;
    for (;;) { /* ends: the counter does not stop */
        uint32_t status = sb_mmio_read32(at(flash, offset));
        if ((status & BOTH(STATUS_READY)) == BOTH(STATUS_READY)) {
            return (status & BOTH(STATUS_ERRORS)) == 0 ? SB_FLASH_OK : SB_FLASH_FAILED;
        }
        if (sb_counter_ticks() > until) {
            return SB_FLASH_TIMEOUT;
        }
    }
}

/* A byte of the query table; 0x100 where the two chips differ. */
static uint32_t query(const struct sb_flash *flash, uint32_t index)
{
    uint32_t value = sb_mmio_read32(at(flash, index * WORD));
    return (value & 0xffffu) == value >> 16 && (value & 0xff00u) == 0 ? value & 0xffu : 0x100u;
}

static enum sb_flash_status read_query(struct sb_flash *flash, uint32_t mapped_size)
{
    if (query(flash, QUERY_TEXT) != 'Q' || query(flash, QUERY_TEXT + 1) != 'R' || query(flash, QUERY_TEXT + 2) != 'Y') {
        return SB_FLASH_NO_CHIP;
    }
    uint32_t set = query(flash, QUERY_COMMAND_SET);
    uint32_t size = query(flash, QUERY_SIZE);
    uint32_t buffer = query(flash, QUERY_BUFFER);
    uint32_t sector = query(flash, QUERY_SECTOR) | query(flash, QUERY_SECTOR + 1) << 8;
    if ((set != INTEL_EXTENDED && set != INTEL_STANDARD) || size < 16 || size > 30 || buffer > 16 ||
        query(flash, QUERY_REGIONS) != 1 || sector == 0 || sector > 0x4000u || (sector & (sector - 1u)) != 0) {
        return SB_FLASH_NO_CHIP;
    }
    flash->sector = 2u * 256u * sector;
    flash->size = 2u << size < mapped_size ? 2u << size : mapped_size;
    flash->buffer = buffer == 0 ? WORD : 2u << buffer < MAX_BUFFER ? 2u << buffer : MAX_BUFFER;
    return flash->size % flash->sector == 0 ? SB_FLASH_OK : SB_FLASH_NO_CHIP;
}

enum sb_flash_status sb_flash_probe(struct sb_flash *flash, volatile void *base, uint32_t mapped_size)
{
    *flash = (struct sb_flash){.base = base};
    command(flash, 0, READ_ARRAY);
    command(flash, QUERY_COMMAND_AT * WORD, READ_QUERY);
    enum sb_flash_status status = read_query(flash, mapped_size);
    finish(flash);
    return status;
}

static bool inside(const struct sb_flash *flash, uint32_t offset, size_t size)
{
    return offset <= flash->size && size <= flash->size - offset;
}

enum sb_flash_status sb_flash_read(const struct sb_flash *flash, uint32_t offset, void *out, size_t size)
{
    uint8_t *to = out;
    if (!inside(flash, offset, size)) {
        return SB_FLASH_BAD_RANGE;
    }
    while (size > 0) { /* device memory takes aligned accesses only */
        uint32_t word = *at(flash, offset);
        uint32_t skip = offset % WORD;
        uint32_t step = size < WORD - skip ? (uint32_t)size : WORD - skip;
        memcpy(to, (const uint8_t *)&word + skip, step);
        to += step;
        offset += step;
        size -= step;
    }
    return SB_FLASH_OK;
}

static enum sb_flash_status program_word(const struct sb_flash *flash, uint32_t offset, const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, WORD);
    command(flash, offset, PROGRAM_WORD);
    sb_mmio_write32(at(flash, offset), word);
    return wait_ready(flash, offset, PROGRAM_LIMIT_MS);
}

/* At most a buffer, inside one block of the buffer's size. */
static enum sb_flash_status program_buffer(const struct sb_flash *flash, uint32_t offset, const uint8_t *data,
                                           uint32_t size)
{
    command(flash, offset, PROGRAM_BUFFER);
    enum sb_flash_status status = wait_ready(flash, offset, PROGRAM_LIMIT_MS);
    if (status != SB_FLASH_OK) {
        return status;
    }
    sb_mmio_write32(at(flash, offset), BOTH(size / WORD - 1u)); /* each chip counts its own words, less one */
    for (uint32_t i = 0; i < size; i += WORD) {
        uint32_t word;
        memcpy(&word, data + i, WORD);
        sb_mmio_write32(at(flash, offset + i), word);
    }
    command(flash, offset, CONFIRM);
    return wait_ready(flash, offset, PROGRAM_LIMIT_MS);
}

enum sb_flash_status sb_flash_program(const struct sb_flash *flash, uint32_t offset, const void *data, size_t size)
{
    const uint8_t *from = data;
    enum sb_flash_status status = SB_FLASH_OK;
    if (!inside(flash, offset, size) || offset % WORD != 0 || size % WORD != 0) {
        return SB_FLASH_BAD_RANGE;
    }
    while (size > 0 && status == SB_FLASH_OK) {
        uint32_t room = flash->buffer - offset % flash->buffer;
        uint32_t step = size < room ? (uint32_t)size : room;
        status = flash->buffer == WORD ? program_word(flash, offset, from) : program_buffer(flash, offset, from, step);
        from += step;
        offset += step;
        size -= step;
    }
    finish(flash);
    return status;
}

enum sb_flash_status sb_flash_erase(const struct sb_flash *flash, uint32_t offset)
{
    if (!inside(flash, offset, flash->sector) || offset % flash->sector != 0) {
        return SB_FLASH_BAD_RANGE;
    }
    command(flash, offset, ERASE);
    command(flash, offset, CONFIRM);
    enum sb_flash_status status = wait_ready(flash, offset, ERASE_LIMIT_MS);
    finish(flash);
    return status;
}
