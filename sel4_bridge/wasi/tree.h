/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file tree in a fixed piece of memory: what a slot's RAM directories are. Implements fs.h.
 *
 * Contract: sb_tree_format makes an empty tree in `memory` (size_bytes, 8-byte aligned), whatever was there before. The
 * memory is private to the server. Directories, files, symbolic and hard links; nothing survives a format. Files are
 * chains of 1 KiB blocks, so a seek costs a walk; holes are filled. Every loop is bounded by the pools below.
 */
#pragma once

#include <stddef.h>

#include "fs.h"

#define SB_TREE_NODES 1024u   /* files, directories, symbolic links */
#define SB_TREE_ENTRIES 1024u /* names */
#define SB_TREE_BLOCK 1024u   /* bytes */

struct sb_tree_node;
struct sb_tree_entry;

struct sb_tree {
    struct sb_fs fs; /* first: the operations cast it back */
    uint64_t (*now_ns)(void *context);
    void *context;
    struct sb_tree_node *nodes;
    struct sb_tree_entry *entries;
    uint32_t *next; /* of each block in its chain */
    uint8_t *blocks;
    uint32_t block_count;
    uint32_t nodes_used, entries_used, blocks_used; /* high-water marks; below them the free lists */
    uint32_t free_node, free_entry, free_block;     /* heads, 0: empty (index 0 is never used) */
    uint32_t blocks_taken, blocks_max;              /* the limit of bytes, in blocks */
    uint64_t last_inode, last_cookie;
};

/* now_ns gives the real time for the files' times. False: the memory is too small for any tree. */
bool sb_tree_format(struct sb_tree *tree, void *memory, size_t size_bytes, uint64_t (*now_ns)(void *context),
                    void *context);
