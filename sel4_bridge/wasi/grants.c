/* SPDX-License-Identifier: Apache-2.0 */
/* See grants.h. */
#include "grants.h"

#include <string.h>

#include "fd.h"

static bool begins(const char *text, const char *with)
{
    return strlen(text) >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

static bool same(const char *text, const char *other)
{
    return strlen(text) == strlen(other) && begins(text, other);
}

static bool number(const char *text, uint32_t *value)
{
    uint64_t sum = 0;
    if (*text == 0) {
        return false;
    }
    for (; *text != 0; text++) {
        if (*text < '0' || *text > '9' || sum > UINT32_MAX / 10) {
            return false;
        }
        sum = sum * 10 + (uint64_t)(*text - '0');
    }
    *value = (uint32_t)sum;
    return sum <= UINT32_MAX;
}

/* The directory of that path in the slot's tree, made where it is missing. */
static bool make_directories(struct sb_wasi_slot *slot, struct sb_name path, uint32_t *node)
{
    struct sb_fs *fs = &slot->tree.fs;
    *node = fs->root;
    uint32_t at = 0;
    while (at < path.size) {
        struct sb_name name = {path.bytes + at, 0};
        while (at + name.size < path.size && name.bytes[name.size] != '/') {
            name.size++;
        }
        at += name.size + 1;
        if (name.size == 1 && name.bytes[0] == '.') {
            continue;
        }
        if ((name.size == 2 && name.bytes[0] == '.' && name.bytes[1] == '.') || name.size > SB_NAME_MAX) {
            return false;
        }
        uint32_t directory = *node;
        if (name.size > 0 && fs->ops->lookup(fs, directory, name, node) != SB_E_SUCCESS &&
            fs->ops->create(fs, directory, name, SB_TYPE_DIRECTORY, node) != SB_E_SUCCESS) {
            return false;
        }
    }
    return true;
}

static bool preopen(struct sb_wasi_slot *slot, const char *text)
{
    struct sb_name path = {text, (uint32_t)strlen(text)};
    bool read_only = path.size > 3 && memcmp(text + path.size - 3, ":ro", 3) == 0;
    path.size -= read_only ? 3 : 0;
    uint32_t node;
    uint32_t fd;
    if (path.size == 0 || !make_directories(slot, path, &node)) {
        return false;
    }
    uint64_t denied = read_only ? SB_RIGHTS_CHANGE : 0;
    struct sb_fd open = {.kind = SB_FD_DIRECTORY,
                         .rights = SB_RIGHTS_DIRECTORY & ~denied,
                         .inheriting = (SB_RIGHTS_DIRECTORY | SB_RIGHTS_FILE) & ~denied,
                         .node = {&slot->tree.fs, node},
                         .preopen = path};
    return sb_fd_open(slot, &open, &fd) == SB_E_SUCCESS;
}

static bool apply(struct sb_wasi_slot *slot, const char *text)
{
    uint32_t value;
    if (begins(text, "dir=")) {
        return preopen(slot, text + 4);
    }
    if (same(text, "clocks=off")) {
        slot->policy.clocks = false;
        return true;
    }
    if (same(text, "random=off")) {
        slot->policy.random = false;
        return true;
    }
    if (begins(text, "files=") && number(text + 6, &value)) {
        slot->policy.max_fds = value < SB_MAX_FDS ? value : SB_MAX_FDS;
        return true;
    }
    if (begins(text, "bytes=") && number(text + 6, &value)) {
        uint32_t blocks = value / SB_TREE_BLOCK;
        slot->tree.blocks_max = blocks < slot->tree.blocks_max ? blocks : slot->tree.blocks_max;
        return true;
    }
    return false;
}

void sb_grants_apply(struct sb_wasi_slot *slot)
{
    const char *text = slot->text + slot->args_size + slot->env_size;
    for (uint32_t i = 0; i < slot->grantc; i++) { /* measured: grantc strings are there */
        if (!apply(slot, text)) {
            slot->counters.refused++;
        }
        text += strlen(text) + 1;
    }
}
