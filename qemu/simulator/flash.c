/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOR flash over a file: two 16-bit chips side by side with the Intel command set, as bank 1 of QEMU's machine has them.
 *
 * Contract: commands are 32-bit writes through sb_mmio_write32, doubled (0x00200020); status, identity and CFI data are
 * read through sb_mmio_read32. In array mode the mapping itself is readable, and in every other mode it is not, so a
 * driver that forgets to go back faults. Programming only clears bits; each program or erase is in the file when it
 * returns. The file is made if it is missing; its holes are erased sectors, and without a file all of it lies in the
 * process. What erased flash looks like comes from the file "erased" in the domains' folder.
 *
 * Power cuts: programs (a word or a buffer) and erases are counted from the start of the process; at number --cut the
 * process ends with 75, having done nothing, the first half, or all of it. An orderly end writes the count to
 * <file>.count.
 *
 * Does NOT: take time, wear out, lock, suspend. Source: JEDEC JESD68.01 (CFI); Intel StrataFlash J3 data sheet, tables
 * "Command Bus Operations" and "Status Register".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim.h"

#define DOUBLED(value) ((uint32_t)(value) << 16 | (uint32_t)(value))
#define SECTOR_SIZE 262144u /* bytes of both chips */
#define SECTORS_MAX 256u
#define BUFFER_WORDS 512u   /* of 32 bits, both chips: 2 KiB */
#define ERASED 0xffu
#define POWER_CUT_EXIT 75

#define STATUS_READY 0x80u
#define STATUS_ERASE_ERROR 0x20u
#define STATUS_PROGRAM_ERROR 0x10u

enum mode { ARRAY, STATUS, IDENTITY, QUERY };
enum step { NO_STEP, ERASE_CONFIRM, WORD_DATA, BUFFER_COUNT, BUFFER_DATA, BUFFER_CONFIRM, LOCK_CONFIRM };

static uint8_t *bytes; /* the domain's mapping; writable only while the model writes */
static int file = -1;
static bool in_file[SECTORS_MAX]; /* the sector is a mapping of the file, not of erased flash */
static uint32_t size;             /* bytes */
static enum mode mode;
static enum step step;
static uint32_t status = STATUS_READY;
static uint32_t buffer[BUFFER_WORDS], buffer_at[BUFFER_WORDS];
static uint32_t buffer_count, buffer_filled;
static uint64_t operations;

static void show(enum mode wanted)
{
    if (mode != wanted) {
        mode = wanted;
        (void)mprotect(bytes, size, mode == ARRAY ? PROT_READ : PROT_NONE);
    }
}

/* The folder's file of erased flash, so that erased sectors cost a process nothing. */
static void map_erased(void)
{
    char path[4096];
    struct stat information;
    (void)snprintf(path, sizeof path, "%s/erased", sim.options.folder);
    int erased = open(path, O_RDONLY | O_CLOEXEC);
    if (erased < 0 || fstat(erased, &information) != 0 || information.st_size < (off_t)size ||
        mmap(bytes, size, PROT_READ, MAP_PRIVATE | MAP_FIXED, erased, 0) == MAP_FAILED) {
        sim_fail("%s: %u bytes of erased flash are wanted there", path, size);
    }
    (void)close(erased);
}

static void map_sectors(uint32_t offset, uint32_t end, int access)
{
    if (mmap(bytes + offset, end - offset, access, MAP_SHARED | MAP_FIXED, file, offset) == MAP_FAILED) {
        sim_fail("%s: %s", sim.options.flash, strerror(errno));
    }
    for (uint32_t sector = offset / SECTOR_SIZE; sector < end / SECTOR_SIZE; sector++) {
        in_file[sector] = true;
    }
}

/* Maps what the file has; its holes are erased sectors. */
static void map_file(void)
{
    struct stat information;
    file = open(sim.options.flash, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0 || fstat(file, &information) != 0 ||
        (information.st_size == 0 && ftruncate(file, (off_t)size) != 0)) {
        sim_fail("%s: %s", sim.options.flash, strerror(errno));
    }
    if (information.st_size != 0 && information.st_size != (off_t)size) {
        sim_fail("%s: %lld bytes, the flash has %u", sim.options.flash, (long long)information.st_size, size);
    }
    for (off_t at = 0; information.st_size != 0 && at < (off_t)size;) {
        off_t data = lseek(file, at, SEEK_DATA);
        off_t hole = data < 0 ? (off_t)size : lseek(file, data, SEEK_HOLE);
        if (data < 0) {
            break; /* nothing but holes follows */
        }
        uint32_t first = (uint32_t)data / SECTOR_SIZE * SECTOR_SIZE;
        uint32_t end = ((uint32_t)hole + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;
        map_sectors(first, end, PROT_READ);
        at = end;
    }
}

void sim_flash_map(int map)
{
    const struct sim_region_row *region = &sim_regions[sim_maps[map].region];
    size = (uint32_t)region->size;
    if (size % SECTOR_SIZE != 0 || size > SECTOR_SIZE * SECTORS_MAX) {
        sim_fail("region %s: flash has at most %u sectors of %u bytes", region->name, SECTORS_MAX, SECTOR_SIZE);
    }
    bytes = sim_mapping(map);
    map_erased();
    if (sim.options.flash != NULL) {
        map_file();
    }
}

/* Makes the sector of an offset writable; one that is not in the file yet gets there. */
static void unprotect(uint32_t offset)
{
    static uint8_t blank[SECTOR_SIZE];
    uint32_t sector = offset / SECTOR_SIZE * SECTOR_SIZE;
    if (file >= 0 && !in_file[offset / SECTOR_SIZE]) {
        memset(blank, ERASED, sizeof blank);
        if (pwrite(file, blank, sizeof blank, (off_t)sector) != (ssize_t)sizeof blank) {
            sim_fail("%s: %s", sim.options.flash, strerror(errno));
        }
        map_sectors(sector, sector + SECTOR_SIZE, PROT_NONE);
    }
    (void)mprotect(bytes + sector, SECTOR_SIZE, PROT_READ | PROT_WRITE);
}

static void protect(uint32_t offset)
{
    (void)mprotect(bytes + (size_t)offset / SECTOR_SIZE * SECTOR_SIZE, SECTOR_SIZE, mode == ARRAY ? PROT_READ : PROT_NONE);
}

void sim_flash_end(void)
{
    char path[4096];
    if (file < 0 || snprintf(path, sizeof path, "%s.count", sim.options.flash) >= (int)sizeof path) {
        return;
    }
    FILE *count = fopen(path, "w");
    if (count != NULL) {
        (void)fprintf(count, "%llu\n", (unsigned long long)operations);
        (void)fclose(count);
    }
}

/* Counts one operation. How much of it happens: 0 nothing, 1 the first half, 2 all. */
static int count_operation(void)
{
    return ++operations == sim.options.cut_at ? sim.options.cut_phase : 2;
}

static void go_on(void)
{
    if (operations == sim.options.cut_at) {
        sim_record_flush();
        _exit(POWER_CUT_EXIT);
    }
}

static void erase(uint32_t offset)
{
    uint32_t sector = offset - offset % SECTOR_SIZE;
    unprotect(sector);
    memset(bytes + sector, ERASED, (size_t)SECTOR_SIZE / 2 * (uint32_t)count_operation());
    protect(sector);
    go_on();
}

static void program(const uint32_t *words, const uint32_t *offsets, uint32_t count)
{
    uint32_t half_words = count * (uint32_t)count_operation();
    unprotect(offsets[0]); /* a buffer does not cross sectors */
    for (uint32_t i = 0; i < count && 2 * i < half_words; i++) {
        uint32_t old;
        memcpy(&old, bytes + offsets[i], sizeof old);
        uint32_t mask = count == 1 && half_words == 1 ? 0xffff0000u : 0; /* one chip had not begun */
        old &= words[i] | mask;
        memcpy(bytes + offsets[i], &old, sizeof old);
    }
    protect(offsets[0]);
    go_on();
}

/* Per chip, by word offset from 0x10: JESD68.01, table 1 and on. */
static uint32_t query(uint32_t index)
{
    static const uint8_t head[] = {'Q', 'R', 'Y', 0x01, 0x00, 0x31, 0x00, 0, 0, 0, 0};
    uint32_t log2_size = 31u - (uint32_t)__builtin_clz(size / 2);
    uint32_t sectors = size / SECTOR_SIZE;
    uint32_t sector_units = SECTOR_SIZE / 2 / 256;
    if (index >= 0x10 && index < 0x10 + sizeof head) {
        return head[index - 0x10];
    }
    switch (index) {
    case 0x27:
        return log2_size; /* bytes of a chip, power of two */
    case 0x28:
        return 0x01; /* 16 bits wide */
    case 0x2a:
        return 0x0a; /* bytes of its buffer, power of two */
    case 0x2c:
        return 1; /* regions of equal sectors */
    case 0x2d:
        return (sectors - 1) & 0xff;
    case 0x2e:
        return (sectors - 1) >> 8;
    case 0x2f:
        return sector_units & 0xff;
    case 0x30:
        return sector_units >> 8;
    case 0x31:
        return 'P';
    case 0x32:
        return 'R';
    case 0x33:
        return 'I';
    case 0x34:
        return '1';
    case 0x35:
        return '0';
    default:
        return 0;
    }
}

uint32_t sim_flash_read(uint32_t offset)
{
    static const uint16_t identity[] = {0x0089, 0x0018}; /* Intel, J3 of 128 Mbit */
    uint32_t word;
    switch (mode) {
    case STATUS:
        return DOUBLED(status);
    case IDENTITY:
        return DOUBLED(offset / 4 < 2 ? identity[offset / 4] : 0);
    case QUERY:
        return DOUBLED(query(offset / 4));
    default:
        memcpy(&word, bytes + offset, sizeof word);
        return word;
    }
}

static void fail(uint32_t error)
{
    status |= error;
    step = NO_STEP;
}

static void command(uint32_t value)
{
    step = NO_STEP;
    switch (value) {
    case DOUBLED(0xff):
        show(ARRAY);
        return;
    case DOUBLED(0x50):
        status = STATUS_READY;
        return;
    case DOUBLED(0x90):
        show(IDENTITY);
        return;
    case DOUBLED(0x98):
        show(QUERY);
        return;
    case DOUBLED(0x70):
        break;
    case DOUBLED(0x20):
        step = ERASE_CONFIRM;
        break;
    case DOUBLED(0x10):
    case DOUBLED(0x40):
        step = WORD_DATA;
        break;
    case DOUBLED(0xe8):
        step = BUFFER_COUNT;
        break;
    case DOUBLED(0x60):
        step = LOCK_CONFIRM;
        break;
    default:
        sim_fail("domain %s writes %#x to flash, which is no command of both chips", sim.current->row->name, value);
    }
    show(STATUS);
}

static void take_count(uint32_t value)
{
    buffer_count = (value & 0xffffu) + 1;
    buffer_filled = 0;
    step = BUFFER_DATA;
    if (value >> 16 != (value & 0xffffu) || buffer_count > BUFFER_WORDS) {
        fail(STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR);
    }
}

static void fill_buffer(uint32_t offset, uint32_t value)
{
    uint32_t block = BUFFER_WORDS * 4;
    if (buffer_filled > 0 && offset / block != buffer_at[0] / block) {
        fail(STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR);
        return;
    }
    buffer[buffer_filled] = value;
    buffer_at[buffer_filled++] = offset;
    step = buffer_filled == buffer_count ? BUFFER_CONFIRM : BUFFER_DATA;
}

void sim_flash_write(uint32_t offset, uint32_t value)
{
    bool confirmed = value == DOUBLED(0xd0);
    switch (step) {
    case ERASE_CONFIRM:
        step = NO_STEP;
        if (confirmed) {
            erase(offset);
        } else {
            fail(STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR);
        }
        break;
    case WORD_DATA:
        step = NO_STEP;
        program(&value, &offset, 1);
        break;
    case BUFFER_COUNT:
        take_count(value);
        break;
    case BUFFER_DATA:
        fill_buffer(offset, value);
        break;
    case BUFFER_CONFIRM:
        step = NO_STEP;
        if (confirmed) {
            program(buffer, buffer_at, buffer_count);
        } else {
            fail(STATUS_PROGRAM_ERROR | STATUS_ERASE_ERROR);
        }
        break;
    case LOCK_CONFIRM:
        step = NO_STEP;
        break;
    default:
        command(value);
    }
}
