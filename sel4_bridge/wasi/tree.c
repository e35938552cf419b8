/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See tree.h. Semantics of names and links: POSIX.1-2017, link(), unlink(), rename().
 *
 * A node lives while it has names or holders. Entries of a directory are a list in the order of their cookies, which
 * only grow, so that a listing goes on behind any cookie whatever was removed meanwhile.
 */
#include "tree.h"

#include <string.h>

#include "sb_wasi_calls.h"

#define FIRST_COOKIE 2u /* 1 and 2 are "." and ".." */

struct sb_tree_node {
    enum sb_filetype type; /* SB_TYPE_UNKNOWN: free */
    uint32_t links, holds;
    uint32_t parent;                  /* of a directory; 0 once it was removed */
    uint32_t first_entry, last_entry; /* of a directory */
    uint32_t first_block, last_block;
    uint32_t block_count;
    uint32_t next_free;
    uint64_t inode, size, atim_ns, mtim_ns, ctim_ns;
};

struct sb_tree_entry {
    uint64_t cookie;
    uint32_t node;
    uint32_t next; /* in the directory, or on the free list */
    uint8_t size;
    char name[SB_NAME_MAX];
};

static struct sb_tree *tree_of(struct sb_fs *fs)
{
    return (struct sb_tree *)fs;
}

static uint64_t now(struct sb_tree *tree)
{
    return tree->now_ns(tree->context);
}

static struct sb_tree_node *node_at(struct sb_tree *tree, uint32_t id)
{
    return &tree->nodes[id];
}

static uint32_t take_block(struct sb_tree *tree)
{
    uint32_t block = tree->free_block;
    if (tree->blocks_taken >= tree->blocks_max) {
        return 0;
    }
    if (block != 0) {
        tree->free_block = tree->next[block];
    } else if (tree->blocks_used + 1 < tree->block_count) {
        block = ++tree->blocks_used;
    } else {
        return 0;
    }
    tree->blocks_taken++;
    tree->next[block] = 0;
    memset(tree->blocks + (size_t)block * SB_TREE_BLOCK, 0, SB_TREE_BLOCK);
    return block;
}

/* Puts the chain that begins at `block` on the free list. */
static void give_blocks(struct sb_tree *tree, uint32_t block)
{
    while (block != 0) {
        uint32_t next = tree->next[block];
        tree->next[block] = tree->free_block;
        tree->free_block = block;
        tree->blocks_taken--;
        block = next;
    }
}

static uint32_t blocks_for(uint64_t size)
{
    return (uint32_t)((size + SB_TREE_BLOCK - 1) / SB_TREE_BLOCK);
}

static uint32_t block_of(const struct sb_tree *tree, const struct sb_tree_node *node, uint32_t index)
{
    uint32_t block = node->first_block;
    if (index + 1 == node->block_count) {
        return node->last_block;
    }
    for (; index > 0; index--) {
        block = tree->next[block];
    }
    return block;
}

/* All of the new blocks or none. */
static bool grow(struct sb_tree *tree, struct sb_tree_node *node, uint32_t count)
{
    uint32_t before = node->block_count, last = node->last_block;
    while (node->block_count < count) {
        uint32_t block = take_block(tree);
        if (block == 0) {
            give_blocks(tree, last == 0 ? node->first_block : tree->next[last]);
            if (last == 0) {
                node->first_block = 0;
            } else {
                tree->next[last] = 0;
            }
            node->last_block = last;
            node->block_count = before;
            return false;
        }
        if (node->last_block == 0) {
            node->first_block = block;
        } else {
            tree->next[node->last_block] = block;
        }
        node->last_block = block;
        node->block_count++;
    }
    return true;
}

static void shrink(struct sb_tree *tree, struct sb_tree_node *node, uint64_t size)
{
    uint32_t count = blocks_for(size);
    if (count == 0) {
        give_blocks(tree, node->first_block);
        node->first_block = node->last_block = 0;
    } else if (count < node->block_count) {
        uint32_t last = block_of(tree, node, count - 1);
        give_blocks(tree, tree->next[last]);
        tree->next[last] = 0;
        node->last_block = last;
    }
    if (count < node->block_count) {
        node->block_count = count;
    }
    if (size % SB_TREE_BLOCK != 0) { /* what lies behind the end reads as zero if the file grows again */
        uint32_t used = (uint32_t)(size % SB_TREE_BLOCK);
        memset(tree->blocks + (size_t)node->last_block * SB_TREE_BLOCK + used, 0, SB_TREE_BLOCK - used);
    }
}

static uint32_t take_node(struct sb_tree *tree, enum sb_filetype type)
{
    uint32_t id = tree->free_node;
    if (id != 0) {
        tree->free_node = node_at(tree, id)->next_free;
    } else if (tree->nodes_used + 1 < SB_TREE_NODES) {
        id = ++tree->nodes_used;
    } else {
        return 0;
    }
    uint64_t time = now(tree);
    *node_at(tree, id) = (struct sb_tree_node){
        .type = type, .inode = ++tree->last_inode, .atim_ns = time, .mtim_ns = time, .ctim_ns = time};
    return id;
}

static void drop_if_unused(struct sb_tree *tree, uint32_t id)
{
    struct sb_tree_node *node = node_at(tree, id);
    if (node->links == 0 && node->holds == 0) {
        give_blocks(tree, node->first_block);
        node->type = SB_TYPE_UNKNOWN;
        node->next_free = tree->free_node;
        tree->free_node = id;
    }
}

static bool equal(const struct sb_tree_entry *entry, struct sb_name name)
{
    return entry->size == name.size && memcmp(entry->name, name.bytes, name.size) == 0;
}

/* The entry of that name, 0 if there is none; *before is the one before it. */
static uint32_t find(struct sb_tree *tree, uint32_t directory, struct sb_name name, uint32_t *before)
{
    *before = 0;
    for (uint32_t at = node_at(tree, directory)->first_entry; at != 0; at = tree->entries[at].next) {
        if (equal(&tree->entries[at], name)) {
            return at;
        }
        *before = at;
    }
    return 0;
}

static void touch(struct sb_tree *tree, uint32_t id)
{
    node_at(tree, id)->mtim_ns = node_at(tree, id)->ctim_ns = now(tree);
}

/* A new name for a node; ENOSPC. */
static uint16_t append(struct sb_tree *tree, uint32_t directory, struct sb_name name, uint32_t id)
{
    struct sb_tree_node *parent = node_at(tree, directory);
    uint32_t at = tree->free_entry;
    if (at != 0) {
        tree->free_entry = tree->entries[at].next;
    } else if (tree->entries_used + 1 < SB_TREE_ENTRIES) {
        at = ++tree->entries_used;
    } else {
        return SB_E_NOSPC;
    }
    struct sb_tree_entry *entry = &tree->entries[at];
    entry->cookie = ++tree->last_cookie;
    entry->node = id;
    entry->next = 0;
    entry->size = (uint8_t)name.size;
    memcpy(entry->name, name.bytes, name.size);
    if (parent->last_entry == 0) {
        parent->first_entry = at;
    } else {
        tree->entries[parent->last_entry].next = at;
    }
    parent->last_entry = at;
    node_at(tree, id)->links++;
    node_at(tree, id)->ctim_ns = now(tree);
    if (node_at(tree, id)->type == SB_TYPE_DIRECTORY) {
        node_at(tree, id)->parent = directory;
    }
    touch(tree, directory);
    return SB_E_SUCCESS;
}

/* Takes the name away, leaves the node's own fate to the caller. */
static void cut_entry(struct sb_tree *tree, uint32_t directory, uint32_t at, uint32_t before)
{
    struct sb_tree_node *parent = node_at(tree, directory);
    if (before == 0) {
        parent->first_entry = tree->entries[at].next;
    } else {
        tree->entries[before].next = tree->entries[at].next;
    }
    if (parent->last_entry == at) {
        parent->last_entry = before;
    }
    node_at(tree, tree->entries[at].node)->links--;
    node_at(tree, tree->entries[at].node)->ctim_ns = now(tree);
    tree->entries[at].next = tree->free_entry;
    tree->free_entry = at;
    touch(tree, directory);
}

static uint16_t tree_lookup(struct sb_fs *fs, uint32_t directory, struct sb_name name, uint32_t *node)
{
    struct sb_tree *tree = tree_of(fs);
    uint32_t before;
    if (node_at(tree, directory)->type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    uint32_t at = find(tree, directory, name, &before);
    *node = tree->entries[at].node;
    return at == 0 ? SB_E_NOENT : SB_E_SUCCESS;
}

static uint16_t tree_parent(struct sb_fs *fs, uint32_t directory, uint32_t *node)
{
    *node = node_at(tree_of(fs), directory)->parent;
    return *node == 0 ? SB_E_NOENT : SB_E_SUCCESS;
}

static uint16_t tree_stat(struct sb_fs *fs, uint32_t id, struct sb_stat *stat)
{
    const struct sb_tree_node *node = node_at(tree_of(fs), id);
    *stat = (struct sb_stat){.type = node->type,
                             .inode = node->inode,
                             .links = node->links,
                             .size = node->size,
                             .atim_ns = node->atim_ns,
                             .mtim_ns = node->mtim_ns,
                             .ctim_ns = node->ctim_ns};
    return SB_E_SUCCESS;
}

/* [offset, offset + size), which the file has, to `to` or, where that is NULL, from `from`. */
static void copy(struct sb_tree *tree, const struct sb_tree_node *node, uint64_t offset, uint8_t *to,
                 const uint8_t *from, uint32_t size)
{
    uint32_t block = size > 0 ? block_of(tree, node, (uint32_t)(offset / SB_TREE_BLOCK)) : 0;
    uint32_t skip = (uint32_t)(offset % SB_TREE_BLOCK);
    for (uint32_t done = 0; done < size;) {
        uint32_t part = SB_TREE_BLOCK - skip < size - done ? SB_TREE_BLOCK - skip : size - done;
        uint8_t *at = tree->blocks + (size_t)block * SB_TREE_BLOCK + skip;
        if (to != NULL) {
            memcpy(to + done, at, part);
        } else {
            memcpy(at, from + done, part);
        }
        done += part;
        skip = 0;
        block = tree->next[block];
    }
}

static uint16_t tree_read(struct sb_fs *fs, uint32_t id, uint64_t offset, uint8_t *to, uint32_t size, uint32_t *done)
{
    struct sb_tree *tree = tree_of(fs);
    const struct sb_tree_node *node = node_at(tree, id);
    uint64_t left = offset < node->size ? node->size - offset : 0;
    *done = left < size ? (uint32_t)left : size;
    copy(tree, node, offset, to, NULL, *done);
    return SB_E_SUCCESS;
}

static uint16_t tree_resize(struct sb_fs *fs, uint32_t id, uint64_t size)
{
    struct sb_tree *tree = tree_of(fs);
    struct sb_tree_node *node = node_at(tree, id);
    if (size > (uint64_t)tree->block_count * SB_TREE_BLOCK) {
        return SB_E_FBIG;
    }
    if (size < node->size) {
        shrink(tree, node, size);
    } else if (!grow(tree, node, blocks_for(size))) {
        return SB_E_NOSPC;
    }
    node->size = size;
    touch(tree, id);
    return SB_E_SUCCESS;
}

/* As much as fits; ENOSPC only if that is nothing. */
static uint16_t tree_write(struct sb_fs *fs, uint32_t id, uint64_t offset, const uint8_t *from, uint32_t size,
                           uint32_t *done)
{
    struct sb_tree *tree = tree_of(fs);
    struct sb_tree_node *node = node_at(tree, id);
    uint64_t fits = ((uint64_t)node->block_count + tree->blocks_max - tree->blocks_taken) * SB_TREE_BLOCK;
    *done = 0;
    if (size == 0) {
        return SB_E_SUCCESS;
    }
    if (offset >= fits) {
        return offset >= (uint64_t)tree->block_count * SB_TREE_BLOCK ? SB_E_FBIG : SB_E_NOSPC;
    }
    *done = size < fits - offset ? size : (uint32_t)(fits - offset);
    if (offset + *done > node->size) {
        uint16_t error = tree_resize(fs, id, offset + *done);
        if (error != SB_E_SUCCESS) {
            return error;
        }
    }
    copy(tree, node, offset, NULL, from, *done);
    touch(tree, id);
    return SB_E_SUCCESS;
}

static uint16_t tree_set_times(struct sb_fs *fs, uint32_t id, uint64_t atim_ns, uint64_t mtim_ns)
{
    struct sb_tree *tree = tree_of(fs);
    node_at(tree, id)->atim_ns = atim_ns;
    node_at(tree, id)->mtim_ns = mtim_ns;
    node_at(tree, id)->ctim_ns = now(tree);
    return SB_E_SUCCESS;
}

/* A name may be made in this directory: it is one, it was not removed, the name is free. */
static uint16_t may_add(struct sb_tree *tree, uint32_t directory, struct sb_name name)
{
    uint32_t before;
    if (node_at(tree, directory)->type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    if (node_at(tree, directory)->links == 0) {
        return SB_E_NOENT;
    }
    return find(tree, directory, name, &before) != 0 ? SB_E_EXIST : SB_E_SUCCESS;
}

static uint16_t tree_create(struct sb_fs *fs, uint32_t directory, struct sb_name name, enum sb_filetype type,
                            uint32_t *node)
{
    struct sb_tree *tree = tree_of(fs);
    uint16_t error = may_add(tree, directory, name);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    uint32_t id = take_node(tree, type);
    if (id == 0) {
        return SB_E_NOSPC;
    }
    error = append(tree, directory, name, id);
    if (error != SB_E_SUCCESS) {
        drop_if_unused(tree, id);
        return error;
    }
    *node = id;
    return SB_E_SUCCESS;
}

static uint16_t tree_link(struct sb_fs *fs, uint32_t node, uint32_t directory, struct sb_name name)
{
    struct sb_tree *tree = tree_of(fs);
    uint16_t error = may_add(tree, directory, name);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (node_at(tree, node)->type == SB_TYPE_DIRECTORY) {
        return SB_E_PERM;
    }
    return append(tree, directory, name, node);
}

/* What follows from the last name of a node being gone. */
static void orphan(struct sb_tree *tree, uint32_t id)
{
    if (node_at(tree, id)->links == 0 && node_at(tree, id)->type == SB_TYPE_DIRECTORY) {
        node_at(tree, id)->parent = 0;
    }
    drop_if_unused(tree, id);
}

static uint16_t tree_unlink(struct sb_fs *fs, uint32_t directory, struct sb_name name)
{
    struct sb_tree *tree = tree_of(fs);
    uint32_t before;
    uint32_t at = find(tree, directory, name, &before);
    if (at == 0) {
        return SB_E_NOENT;
    }
    uint32_t id = tree->entries[at].node;
    if (node_at(tree, id)->type == SB_TYPE_DIRECTORY && node_at(tree, id)->first_entry != 0) {
        return SB_E_NOTEMPTY;
    }
    cut_entry(tree, directory, at, before);
    orphan(tree, id);
    return SB_E_SUCCESS;
}

/* Whether `directory` is `ancestor` or lies below it; depth is bounded by the number of nodes. */
static bool below(struct sb_tree *tree, uint32_t directory, uint32_t ancestor)
{
    for (uint32_t steps = 0; steps < SB_TREE_NODES && directory != 0; steps++) {
        if (directory == ancestor) {
            return true;
        }
        uint32_t parent = node_at(tree, directory)->parent;
        if (parent == directory) {
            return false;
        }
        directory = parent;
    }
    return false;
}

static uint16_t may_replace(struct sb_tree *tree, uint32_t id, uint32_t old)
{
    bool directory = node_at(tree, id)->type == SB_TYPE_DIRECTORY;
    if (node_at(tree, old)->type != SB_TYPE_DIRECTORY) {
        return directory ? SB_E_NOTDIR : SB_E_SUCCESS;
    }
    if (!directory) {
        return SB_E_ISDIR;
    }
    return node_at(tree, old)->first_entry != 0 ? SB_E_NOTEMPTY : SB_E_SUCCESS;
}

static uint16_t tree_rename(struct sb_fs *fs, uint32_t directory, struct sb_name name, uint32_t to_directory,
                            struct sb_name to_name)
{
    struct sb_tree *tree = tree_of(fs);
    uint32_t before, to_before;
    uint32_t at = find(tree, directory, name, &before);
    if (at == 0) {
        return SB_E_NOENT;
    }
    uint32_t id = tree->entries[at].node;
    uint16_t error = may_add(tree, to_directory, to_name);
    if (error != SB_E_SUCCESS && error != SB_E_EXIST) {
        return error;
    }
    if (node_at(tree, id)->type == SB_TYPE_DIRECTORY && below(tree, to_directory, id)) {
        return SB_E_INVAL;
    }
    uint32_t old_at = find(tree, to_directory, to_name, &to_before);
    if (old_at == 0) {
        error = append(tree, to_directory, to_name, id);
        if (error != SB_E_SUCCESS) {
            return error;
        }
    } else {
        uint32_t old = tree->entries[old_at].node;
        if (old == id) {
            return SB_E_SUCCESS; /* two names of one file: POSIX says nothing happens */
        }
        error = may_replace(tree, id, old);
        if (error != SB_E_SUCCESS) {
            return error;
        }
        tree->entries[old_at].node = id;
        node_at(tree, id)->links++;
        node_at(tree, old)->links--;
        if (node_at(tree, id)->type == SB_TYPE_DIRECTORY) {
            node_at(tree, id)->parent = to_directory;
        }
        orphan(tree, old);
        touch(tree, to_directory);
    }
    at = find(tree, directory, name, &before);
    cut_entry(tree, directory, at, before);
    return SB_E_SUCCESS;
}

static uint16_t tree_list(struct sb_fs *fs, uint32_t directory, uint64_t cookie, struct sb_listed *entry, bool *end)
{
    struct sb_tree *tree = tree_of(fs);
    const struct sb_tree_node *node = node_at(tree, directory);
    *end = false;
    if (cookie < FIRST_COOKIE) {
        uint32_t id = cookie == 0 || node->parent == 0 ? directory : node->parent;
        *entry = (struct sb_listed){.cookie = cookie + 1,
                                    .inode = node_at(tree, id)->inode,
                                    .type = SB_TYPE_DIRECTORY,
                                    .name = {"..", cookie == 0 ? 1 : 2}};
        return SB_E_SUCCESS;
    }
    for (uint32_t at = node->first_entry; at != 0; at = tree->entries[at].next) {
        const struct sb_tree_entry *found = &tree->entries[at];
        if (found->cookie > cookie) {
            *entry = (struct sb_listed){.cookie = found->cookie,
                                        .inode = node_at(tree, found->node)->inode,
                                        .type = node_at(tree, found->node)->type,
                                        .name = {found->name, found->size}};
            return SB_E_SUCCESS;
        }
    }
    *end = true;
    return SB_E_SUCCESS;
}

static void tree_hold(struct sb_fs *fs, uint32_t node)
{
    node_at(tree_of(fs), node)->holds++;
}

static void tree_release(struct sb_fs *fs, uint32_t node)
{
    node_at(tree_of(fs), node)->holds--;
    drop_if_unused(tree_of(fs), node);
}

static const struct sb_fs_ops tree_ops = {
    .lookup = tree_lookup,
    .parent = tree_parent,
    .stat = tree_stat,
    .read = tree_read,
    .write = tree_write,
    .resize = tree_resize,
    .set_times = tree_set_times,
    .create = tree_create,
    .link = tree_link,
    .unlink = tree_unlink,
    .rename = tree_rename,
    .list = tree_list,
    .hold = tree_hold,
    .release = tree_release,
};

bool sb_tree_format(struct sb_tree *tree, void *memory, size_t size_bytes, uint64_t (*now_ns)(void *context),
                    void *context)
{
    size_t pools = SB_TREE_NODES * sizeof(struct sb_tree_node) + SB_TREE_ENTRIES * sizeof(struct sb_tree_entry);
    memset(tree, 0, sizeof *tree);
    if (size_bytes < pools + 2 * (SB_TREE_BLOCK + sizeof *tree->next)) {
        return false;
    }
    tree->nodes = memory;
    tree->entries = (struct sb_tree_entry *)(tree->nodes + SB_TREE_NODES);
    tree->block_count = (uint32_t)((size_bytes - pools) / (SB_TREE_BLOCK + sizeof *tree->next));
    tree->next = (uint32_t *)(tree->entries + SB_TREE_ENTRIES);
    tree->blocks = (uint8_t *)(tree->next + tree->block_count);
    tree->blocks_max = tree->block_count - 1;
    tree->now_ns = now_ns;
    tree->context = context;
    tree->last_cookie = FIRST_COOKIE;
    tree->fs.ops = &tree_ops;
    tree->fs.root = take_node(tree, SB_TYPE_DIRECTORY);
    node_at(tree, tree->fs.root)->links = 1;
    node_at(tree, tree->fs.root)->parent = tree->fs.root;
    tree->entries[0].node = 0;
    return true;
}
