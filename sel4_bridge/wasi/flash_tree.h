/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slot's /data directory: files on flash, kept by the store domain. Implements fs.h.
 *
 * Contract: nodes stand for paths; a table of them, private to the server, gives them numbers. Those that are held and
 * those of the present call stay, others are forgotten when room is needed. Files are opened in the store at their first
 * read or write and closed, and so written through, with their last descriptor. One that loses its last name while it
 * is open stays until then. Symbolic and hard links: ENOTSUP, littlefs has none.
 */
#pragma once

#include <stddef.h>

#include "fs.h"
#include "sb_data.h"

#define SB_FLASH_NODES 96u /* known at a time */

struct sb_flash_node {
    enum sb_filetype type;     /* SB_TYPE_UNKNOWN: free */
    uint32_t parent;           /* 0: it has no path any more, or is the root */
    uint32_t children, holds;  /* nodes that have it as parent; holders */
    uint32_t file;             /* of the store, SB_DATA_NO_FILE: not open there */
    bool hidden;               /* a file without a name, kept under its own number */
    uint64_t call;             /* that needed it last */
    uint8_t size;              /* of the name */
    char name[SB_NAME_MAX];
};

struct sb_flash_tree {
    struct sb_fs fs; /* first: the operations cast it back */
    uint64_t slot, call;
    bool used; /* since the last start: the store has files of this slot open, perhaps */
    struct sb_data_region *region;
    /* One call of the store: the errno. */
    uint16_t (*store)(void *context, uint64_t label, const uint64_t arguments[SB_DATA_ARGUMENTS],
                      uint64_t results[SB_DATA_RESULTS]);
    uint64_t (*now_ns)(void *context);
    void *context;
    uint32_t listed, listed_next; /* entries of the directory below in `entries`, and which one comes next */
    uint32_t listed_node;
    struct sb_data_entry entries[SB_DATA_ENTRIES];
    struct sb_flash_node nodes[SB_FLASH_NODES]; /* 0 is never used, 1 is the root */
};

/* A new run of the slot's module that may use /data: ENODEV where there is no flash, EIO where it does not work. */
uint16_t sb_flash_start(struct sb_flash_tree *tree, uint64_t bytes_max);

/* The run is over: what it wrote is on flash after this. */
void sb_flash_end(struct sb_flash_tree *tree);
