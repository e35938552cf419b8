/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store without Microkit: modules and records of the slots as files of a littlefs on NOR flash.
 *
 * Contract: one instance (its buffers are static, there is no malloc). sb_store_open makes the file system where there is
 * none that can be mounted; after that every call of sb_store.h is one call of sb_store_serve. Files: /slot<n>/a.wasm,
 * /slot<n>/b.wasm, /slot<n>/record.
 *
 * Does NOT: know what a module is, or which one counts: that is the supervisor's.
 * Source: littlefs, DESIGN.md and lfs.h (a file's new content counts from the moment it is closed, all of it).
 */
#pragma once

#include "data.h"
#include "flash.h"
#include "sb_layout.h"
#include "sb_store.h"

/* What the store reads and writes besides flash. */
struct sb_store_memory {
    uint8_t *modules[SB_SLOTS];     /* SB_MODULE_SIZE bytes each */
    struct sb_store_record *record; /* shared with the supervisor */
    struct sb_data_region *data;    /* shared with the wasi domain, NULL: nobody asks for files */
};

/* Mount, else format and mount. */
enum sb_store_status sb_store_open(volatile void *flash, uint32_t mapped_size, const struct sb_store_memory *memory);

/* One protected call; `results` is for SB_STORE_INFO. */
enum sb_store_status sb_store_serve(uint64_t label, const uint64_t arguments[SB_STORE_ARGUMENTS], uint64_t results[2]);
