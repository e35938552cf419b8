/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slots' /data directories on the store's littlefs: sb_data.h's calls.
 *
 * Contract: one instance, after sb_store_open. Folders: /slot<n>/data, and /slot<n>/gone for files without a name. Flash
 * that a slot's files take is bounded by SB_DATA_FLASH_MAX, in figures that are never below what littlefs really takes,
 * so that data of one slot leave room for modules and for the other slot's.
 *
 * Does NOT: know descriptors, rights or policy: that is the wasi domain's. Symbolic and hard links: littlefs has none.
 */
#pragma once

#include "lfs_port.h"
#include "sb_data.h"

/* Once the file system is mounted; `lfs` NULL: there is no flash, every call is ENODEV. `sector` in bytes. */
void sb_data_open(lfs_t *lfs, uint32_t sector, struct sb_data_region *region);

/* One protected call; the errno. */
uint16_t sb_data_serve(uint64_t label, const uint64_t arguments[SB_DATA_ARGUMENTS], uint64_t results[SB_DATA_RESULTS]);
