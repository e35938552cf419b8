/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CFI NOR flash: two 16-bit chips with the Intel command set side by side on a 32-bit bus, as QEMU's virt board has them.
 *
 * Contract: between calls both chips are in array mode. Each operation waits for the chips, for a bounded time, and
 * looks at both chips' error bits; what was written is not read back here. Programming turns ones into zeros, erasing a
 * sector turns all of it into ones.
 *
 * Does NOT: lock sectors, suspend, use more than one chip pair.
 * Sources: JEDEC JESD68.01 (CFI), Intel AP-646 and "Intel StrataFlash Memory (J3) Datasheet", sections 4 and 11.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sb_flash_status {
    SB_FLASH_OK,
    SB_FLASH_NO_CHIP,   /* nothing there answers as described above */
    SB_FLASH_BAD_RANGE, /* outside, or not aligned: the caller's fault */
    SB_FLASH_TIMEOUT,
    SB_FLASH_FAILED, /* a chip said so */
};

struct sb_flash {
    volatile uint32_t *base; /* of the mapping, device memory */
    uint32_t size;           /* bytes, both chips */
    uint32_t sector;         /* bytes, both chips */
    uint32_t buffer;         /* bytes that are programmed at once, power of two; 4: a word at a time */
};

/* Ask the chips at `base` what they are; of more than `mapped_size` bytes the first ones are used. */
enum sb_flash_status sb_flash_probe(struct sb_flash *flash, volatile void *base, uint32_t mapped_size);

enum sb_flash_status sb_flash_read(const struct sb_flash *flash, uint32_t offset, void *out, size_t size);

/* `offset` and `size` are multiples of 4. */
enum sb_flash_status sb_flash_program(const struct sb_flash *flash, uint32_t offset, const void *data, size_t size);

/* `offset` is a sector's. */
enum sb_flash_status sb_flash_erase(const struct sb_flash *flash, uint32_t offset);
