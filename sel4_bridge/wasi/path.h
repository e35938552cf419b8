/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a path to a node, never above the directory that the path starts from.
 *
 * Contract: the path is the caller's bytes, already copied. ".." above the start, an absolute path and an absolute
 * symbolic link are ENOTCAPABLE; a NUL is EINVAL. At most 40 links are followed. The result is valid until the next
 * resolution (it borrows the name). Source: POSIX.1-2017, section 4.13 "Pathname Resolution"; preview1, `lookupflags`.
 */
#pragma once

#include "fs.h"
#include "slot.h"

struct sb_path {
    struct sb_node parent; /* the directory of the last component; fs NULL if the path is its start or ends in a dot */
    struct sb_name name;   /* the last component */
    struct sb_node node;   /* what it names; fs NULL: nothing yet */
    struct sb_stat stat;   /* of node, if there is one */
    bool slash;            /* the path ends in a slash: only a directory will do */
};

/* follow: a symbolic link as the last component stands for what it points to. */
uint16_t sb_path_resolve(struct sb_node start, struct sb_in path, bool follow, struct sb_path *found);
