/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam between WASI's file calls and whatever keeps files: a table of operations on nodes.
 *
 * Contract: names are single components without '/' or NUL, 1..SB_NAME_MAX bytes, never "." or ".."; who calls has
 * resolved the path (path.h) and checked the rights. Operations return an enum sb_errno, or SB_PENDING where the answer
 * comes later: the whole WASI call is then made again, so they change nothing before they answer. A node that is held
 * stays readable and writable after its last name is gone.
 *
 * Does NOT: know descriptors, offsets or rights.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sb_filetype.h"

#define SB_NAME_MAX 255u

struct sb_stat {
    enum sb_filetype type;
    uint64_t inode, links, size; /* size in bytes */
    uint64_t atim_ns, mtim_ns, ctim_ns;
};

struct sb_name {
    const char *bytes;
    uint32_t size;
};

struct sb_listed {
    uint64_t cookie; /* of this entry: the next list() goes on behind it */
    uint64_t inode;
    enum sb_filetype type;
    struct sb_name name; /* borrowed until the next change of the directory */
};

struct sb_fs;

struct sb_fs_ops {
    uint16_t (*lookup)(struct sb_fs *fs, uint32_t directory, struct sb_name name, uint32_t *node);
    uint16_t (*parent)(struct sb_fs *fs, uint32_t directory, uint32_t *node); /* the root's is the root */
    uint16_t (*stat)(struct sb_fs *fs, uint32_t node, struct sb_stat *stat);
    uint16_t (*read)(struct sb_fs *fs, uint32_t node, uint64_t offset, uint8_t *to, uint32_t size, uint32_t *done);
    uint16_t (*write)(struct sb_fs *fs, uint32_t node, uint64_t offset, const uint8_t *from, uint32_t size,
                      uint32_t *done);
    uint16_t (*resize)(struct sb_fs *fs, uint32_t node, uint64_t size);
    uint16_t (*set_times)(struct sb_fs *fs, uint32_t node, uint64_t atim_ns, uint64_t mtim_ns);
    uint16_t (*create)(struct sb_fs *fs, uint32_t directory, struct sb_name name, enum sb_filetype type,
                       uint32_t *node); /* EEXIST */
    uint16_t (*link)(struct sb_fs *fs, uint32_t node, uint32_t directory, struct sb_name name);
    uint16_t (*unlink)(struct sb_fs *fs, uint32_t directory, struct sb_name name); /* also an empty directory */
    uint16_t (*rename)(struct sb_fs *fs, uint32_t directory, struct sb_name name, uint32_t to_directory,
                       struct sb_name to_name); /* replaces what POSIX's rename() replaces */
    uint16_t (*list)(struct sb_fs *fs, uint32_t directory, uint64_t cookie, struct sb_listed *entry,
                     bool *end); /* the first entry behind the cookie */
    uint16_t (*sync)(struct sb_fs *fs, uint32_t node); /* what was written stays; NULL: it does at once, or never */
    void (*hold)(struct sb_fs *fs, uint32_t node);
    void (*release)(struct sb_fs *fs, uint32_t node);
};

/* The head of every file system. */
struct sb_fs {
    const struct sb_fs_ops *ops;
    uint32_t root;   /* node */
    uint64_t device; /* `dev` of its files */
};

/* A node of some file system; fs NULL: none. */
struct sb_node {
    struct sb_fs *fs;
    uint32_t id;
};
