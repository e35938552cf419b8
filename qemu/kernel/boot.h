/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the image builder (qemu/image.py) tells the kernel: the whole system, in tables behind the kernel in the image.
 *
 * Contract: little endian, every field 64 bits, all offsets from the header's first byte. The builder has checked the
 * system; the kernel checks sizes and indices again and stops with a message if they don't hold. BOOT_VERSION changes
 * with every change here; image.py writes the same fields in the same order, and a test compares the sizes.
 */
#pragma once

#include <stdint.h>

#define BOOT_MAGIC 0x314d495345534157ul /* "WASESIM1" */
#define BOOT_VERSION 2u
#define BOOT_NONE (~0ul)

struct boot_table {
    uint64_t offset, count;
};

struct boot_header {
    uint64_t magic, version;
    uint64_t image_end; /* bytes from the kernel's first byte to the end of the image */
    uint64_t ram_base, ram_size;
    struct boot_table regions, domains, maps, segments, pieces, channels, irqs;
};

struct boot_region {
    uint64_t phys; /* BOOT_NONE: the kernel takes it from RAM and clears it */
    uint64_t size; /* bytes, multiple of 4096 */
};

struct boot_domain {
    char name[64];
    uint64_t entry, stack_top, stack_size, ipc_buffer; /* addresses in the domain, bytes */
    uint64_t priority, budget_us, period_us, passive;
    uint64_t parent; /* index of the parent domain, or BOOT_NONE */
    uint64_t child;  /* number that the parent knows it by */
};

enum { BOOT_READ = 1, BOOT_WRITE = 2, BOOT_EXECUTE = 4, BOOT_CACHED = 8 };

struct boot_map {
    uint64_t domain, region, vaddr, flags;
};

struct boot_segment {
    uint64_t domain, vaddr, size, flags; /* size: bytes in memory; whole pages, zero but for the pieces */
    uint64_t first_piece, pieces;
};

struct boot_piece {
    uint64_t at;         /* offset in the segment */
    uint64_t data, size; /* where the bytes lie: offset from the header, multiple of 8; length */
};

/* One direction: what `from` may do to `to`. */
struct boot_channel {
    uint64_t from, from_id, to, to_id, notify, call;
};

struct boot_irq {
    uint64_t domain, id, irq, edge;
};
