/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See path.h. The rest of the path lies at the end of a work buffer; a symbolic link's target is put before it. Every
 * round of the loop takes a component away or follows one of MAX_LINKS links, so it ends.
 */
#include "path.h"

#include <string.h>

enum { WORK_SIZE = 8192, MAX_LINKS = 40 };

static char work[WORK_SIZE];
static char last_name[SB_NAME_MAX];

struct walk {
    struct sb_node at;
    uint32_t depth; /* components below the start */
    uint32_t rest;  /* index in work of what is left */
    uint32_t links; /* followed so far */
};

static uint16_t prepend(struct walk *walk, const char *bytes, uint32_t size)
{
    if (size >= walk->rest) {
        return SB_E_NAMETOOLONG;
    }
    walk->rest -= size;
    memcpy(work + walk->rest, bytes, size);
    return SB_E_SUCCESS;
}

/* Puts the link's target before what is left of the path. */
static uint16_t follow_link(struct walk *walk, struct sb_node link, uint64_t size)
{
    static char target[WORK_SIZE / 2];
    uint32_t done;
    if (++walk->links > MAX_LINKS) {
        return SB_E_LOOP;
    }
    if (size > sizeof target) {
        return SB_E_NAMETOOLONG;
    }
    uint16_t error = link.fs->ops->read(link.fs, link.id, 0, (uint8_t *)target, (uint32_t)size, &done);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (done > 0 && target[0] == '/') {
        return SB_E_NOTCAPABLE;
    }
    return prepend(walk, target, done);
}

static void skip_slashes(struct walk *walk)
{
    while (walk->rest < WORK_SIZE && work[walk->rest] == '/') {
        walk->rest++;
    }
}

static struct sb_name component(const struct walk *walk)
{
    struct sb_name name = {work + walk->rest, 0};
    while (walk->rest + name.size < WORK_SIZE && name.bytes[name.size] != '/') {
        name.size++;
    }
    return name;
}

static bool is(struct sb_name name, const char *text)
{
    return name.size == strlen(text) && memcmp(name.bytes, text, name.size) == 0;
}

static uint16_t up(struct walk *walk)
{
    if (walk->depth == 0) {
        return SB_E_NOTCAPABLE;
    }
    walk->depth--;
    return walk->at.fs->ops->parent(walk->at.fs, walk->at.id, &walk->at.id);
}

static uint16_t at_directory(const struct walk *walk, struct sb_path *found)
{
    found->parent.fs = NULL;
    found->name.size = 0;
    found->node = walk->at;
    uint16_t error = walk->at.fs->ops->stat(walk->at.fs, walk->at.id, &found->stat);
    if (error == SB_E_SUCCESS && found->stat.type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    return error;
}

/* One named component, not a dot. *more: it was a directory on the way, or a link that was followed. */
static uint16_t step(struct walk *walk, struct sb_name name, bool follow, struct sb_path *found, bool *more)
{
    struct sb_fs *fs = walk->at.fs;
    struct sb_node node = {fs, 0};
    if (name.size > SB_NAME_MAX) {
        return SB_E_NAMETOOLONG;
    }
    uint16_t error = fs->ops->lookup(fs, walk->at.id, name, &node.id);
    if (error == SB_E_SUCCESS) {
        error = fs->ops->stat(fs, node.id, &found->stat);
    }
    if (error != SB_E_SUCCESS && error != SB_E_NOENT) {
        return error;
    }
    memcpy(last_name, name.bytes, name.size);
    found->name = (struct sb_name){last_name, name.size};
    walk->rest += name.size;
    uint32_t before = walk->rest;
    skip_slashes(walk);
    bool last = walk->rest == WORK_SIZE;
    found->slash = last && walk->rest > before;
    *more = !last;
    if (error == SB_E_NOENT) {
        found->parent = walk->at;
        found->node.fs = NULL;
        return last ? SB_E_SUCCESS : SB_E_NOENT;
    }
    if (found->stat.type == SB_TYPE_SYMLINK && (!last || found->slash || follow)) {
        walk->rest = before; /* its slashes belong to what follows the target */
        *more = true;
        return follow_link(walk, node, found->stat.size);
    }
    if ((!last || found->slash) && found->stat.type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    found->parent = walk->at;
    found->node = node;
    walk->at = node;
    walk->depth++;
    return SB_E_SUCCESS;
}

uint16_t sb_path_resolve(struct sb_node start, struct sb_in path, bool follow, struct sb_path *found)
{
    struct walk walk = {.at = start, .rest = WORK_SIZE};
    memset(found, 0, sizeof *found);
    if (path.size == 0) {
        return SB_E_NOENT;
    }
    for (uint32_t i = 0; i < path.size; i++) {
        if (path.bytes[i] == 0) {
            return SB_E_INVAL;
        }
    }
    if (path.bytes[0] == '/') {
        return SB_E_NOTCAPABLE;
    }
    uint16_t error = prepend(&walk, (const char *)path.bytes, path.size);
    bool more = true;
    bool dot = true; /* so far the path is its start */
    while (error == SB_E_SUCCESS && more) {
        skip_slashes(&walk);
        struct sb_name name = component(&walk);
        if (name.size == 0) {
            break;
        }
        dot = is(name, ".") || is(name, "..");
        if (!dot) {
            error = step(&walk, name, follow, found, &more);
            continue;
        }
        walk.rest += name.size;
        error = at_directory(&walk, found); /* a file has neither "." nor ".." */
        if (error == SB_E_SUCCESS && name.size == 2) {
            error = up(&walk);
        }
    }
    if (error == SB_E_SUCCESS && dot) {
        error = at_directory(&walk, found);
    }
    return error;
}
