/* SPDX-License-Identifier: Apache-2.0 */
/* See flash_tree.h. The store is trusted more than we are; what it answers is bounded all the same. */
#include "flash_tree.h"

#include <string.h>

#include "sb_wasi_calls.h"

enum { ROOT = 1, DOT_COOKIES = 2 };

static struct sb_flash_tree *tree_of(struct sb_fs *fs)
{
    return (struct sb_flash_tree *)fs;
}

static struct sb_flash_node *node_at(struct sb_flash_tree *tree, uint32_t id)
{
    return &tree->nodes[id];
}

static uint64_t now(const struct sb_flash_tree *tree)
{
    return tree->now_ns(tree->context);
}

/* One call; the slot comes first. */
static uint16_t ask(struct sb_flash_tree *tree, enum sb_data_label label, const uint64_t *rest, uint32_t count,
                    uint64_t results[SB_DATA_RESULTS])
{
    uint64_t arguments[SB_DATA_ARGUMENTS] = {tree->slot};
    uint64_t ignored[SB_DATA_RESULTS];
    memcpy(arguments + 1, rest, count * sizeof *rest);
    return tree->store(tree->context, label, arguments, results != NULL ? results : ignored);
}
#define ASK(tree, label, results, ...)                                    \
    ask(tree, label, (const uint64_t[]){__VA_ARGS__}, (uint32_t)(sizeof((const uint64_t[]){__VA_ARGS__}) / 8), results)

/* Writes the path of `id`, and behind it `name` if it has a size, to the shared region; false: it is too long. */
static bool put_path(struct sb_flash_tree *tree, uint32_t id, struct sb_name name, char *out, uint64_t *size)
{
    static char path[SB_DATA_PATH + 1];
    uint32_t at = SB_DATA_PATH;
    if (name.size > 0) {
        at -= name.size;
        memcpy(path + at, name.bytes, name.size);
    }
    for (uint32_t steps = 0; id != ROOT && steps < SB_FLASH_NODES; steps++) {
        const struct sb_flash_node *node = node_at(tree, id);
        bool joins = at < SB_DATA_PATH;
        if (at < node->size + (joins ? 1u : 0u)) {
            return false;
        }
        if (joins) {
            path[--at] = '/';
        }
        at -= node->size;
        memcpy(path + at, node->name, node->size);
        id = node->parent;
    }
    *size = SB_DATA_PATH - at;
    memcpy(out, path + at, *size);
    return true;
}

/* Whether it has a path. */
static bool is_named(struct sb_flash_tree *tree, uint32_t id)
{
    return id == ROOT || node_at(tree, id)->parent != 0;
}

static const struct sb_name no_name;

/* The first word of most calls: the size of the node's path, or which hidden file it is. */
static uint16_t path_word(struct sb_flash_tree *tree, uint32_t id, uint64_t *word)
{
    if (node_at(tree, id)->hidden) {
        *word = (uint64_t)id << 32 | SB_DATA_HIDDEN;
        return SB_E_SUCCESS;
    }
    if (!is_named(tree, id)) {
        return SB_E_NOENT;
    }
    return put_path(tree, id, no_name, tree->region->path, word) ? SB_E_SUCCESS : SB_E_NAMETOOLONG;
}

static uint32_t find(struct sb_flash_tree *tree, uint32_t directory, struct sb_name name)
{
    for (uint32_t id = ROOT + 1; id < SB_FLASH_NODES; id++) {
        const struct sb_flash_node *node = node_at(tree, id);
        if (node->type != SB_TYPE_UNKNOWN && node->parent == directory && node->size == name.size &&
            memcmp(node->name, name.bytes, name.size) == 0) {
            return id;
        }
    }
    return 0;
}

/* The node has no path any more. */
static void detach(struct sb_flash_tree *tree, uint32_t id)
{
    struct sb_flash_node *node = node_at(tree, id);
    if (node->parent != 0) {
        node_at(tree, node->parent)->children--;
        node->parent = 0;
    }
}

static void attach(struct sb_flash_tree *tree, uint32_t id, uint32_t directory, struct sb_name name)
{
    struct sb_flash_node *node = node_at(tree, id);
    detach(tree, id);
    node->parent = directory;
    node->size = (uint8_t)name.size;
    memcpy(node->name, name.bytes, name.size);
    node_at(tree, directory)->children++;
}

static void forget(struct sb_flash_tree *tree, uint32_t id)
{
    detach(tree, id);
    memset(node_at(tree, id), 0, sizeof(struct sb_flash_node));
}

/* A free number, or that of a node that nobody needs. */
static uint32_t take_node(struct sb_flash_tree *tree)
{
    for (int round = 0; round < 2; round++) {
        for (uint32_t id = ROOT + 1; id < SB_FLASH_NODES; id++) {
            struct sb_flash_node *node = node_at(tree, id);
            if (node->type == SB_TYPE_UNKNOWN) {
                return id;
            }
            if (round == 1 && node->holds == 0 && node->children == 0 && node->call != tree->call) {
                forget(tree, id);
                return id;
            }
        }
    }
    return 0;
}

static uint16_t remember(struct sb_flash_tree *tree, uint32_t directory, struct sb_name name, enum sb_filetype type,
                         uint32_t *node)
{
    uint32_t id = take_node(tree);
    if (id == 0) {
        return SB_E_NFILE;
    }
    struct sb_flash_node *taken = node_at(tree, id);
    memset(taken, 0, sizeof *taken);
    taken->type = type;
    taken->file = SB_DATA_NO_FILE;
    taken->call = tree->call;
    attach(tree, id, directory, name);
    *node = id;
    return SB_E_SUCCESS;
}

static uint16_t flash_lookup(struct sb_fs *fs, uint32_t directory, struct sb_name name, uint32_t *node)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint64_t size;
    uint64_t results[SB_DATA_RESULTS] = {0};
    if (node_at(tree, directory)->type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    *node = is_named(tree, directory) ? find(tree, directory, name) : 0;
    if (*node != 0) {
        node_at(tree, *node)->call = tree->call;
        return SB_E_SUCCESS;
    }
    if (!is_named(tree, directory)) {
        return SB_E_NOENT;
    }
    if (!put_path(tree, directory, name, tree->region->path, &size)) {
        return SB_E_NAMETOOLONG;
    }
    uint16_t error = ASK(tree, SB_DATA_STAT, results, size, SB_DATA_NO_FILE);
    enum sb_filetype type = results[0] == SB_TYPE_DIRECTORY ? SB_TYPE_DIRECTORY : SB_TYPE_FILE;
    return error != SB_E_SUCCESS ? error : remember(tree, directory, name, type, node);
}

static uint16_t flash_parent(struct sb_fs *fs, uint32_t directory, uint32_t *node)
{
    *node = directory == ROOT ? ROOT : node_at(tree_of(fs), directory)->parent;
    return *node == 0 ? SB_E_NOENT : SB_E_SUCCESS;
}

static uint16_t flash_stat(struct sb_fs *fs, uint32_t id, struct sb_stat *stat)
{
    struct sb_flash_tree *tree = tree_of(fs);
    const struct sb_flash_node *node = node_at(tree, id);
    uint64_t results[SB_DATA_RESULTS] = {0};
    struct sb_data_times times;
    uint64_t word;
    *stat = (struct sb_stat){.type = node->type, .links = node->parent != 0 || id == ROOT ? 1 : 0};
    if (node->type == SB_TYPE_DIRECTORY && !is_named(tree, id)) {
        return SB_E_SUCCESS; /* removed, and still open */
    }
    uint16_t error = path_word(tree, id, &word);
    error = error != SB_E_SUCCESS ? error : ASK(tree, SB_DATA_STAT, results, word, node->file);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    memcpy(&times, tree->region->bytes, sizeof times);
    stat->inode = times.inode != 0 ? times.inode : ROOT;
    stat->size = results[1];
    stat->atim_ns = times.atim_ns;
    stat->mtim_ns = times.mtim_ns;
    stat->ctim_ns = times.ctim_ns;
    return SB_E_SUCCESS;
}

/* The store has it open. */
static uint16_t open_file(struct sb_flash_tree *tree, uint32_t id)
{
    struct sb_flash_node *node = node_at(tree, id);
    uint64_t results[SB_DATA_RESULTS] = {0};
    uint64_t word;
    if (node->type != SB_TYPE_FILE) {
        return SB_E_ISDIR;
    }
    if (node->file != SB_DATA_NO_FILE) {
        return SB_E_SUCCESS;
    }
    uint16_t error = path_word(tree, id, &word);
    error = error != SB_E_SUCCESS ? error : ASK(tree, SB_DATA_OPEN, results, word);
    node->file = error == SB_E_SUCCESS && results[0] < SB_DATA_FILES ? (uint32_t)results[0] : SB_DATA_NO_FILE;
    return error == SB_E_SUCCESS && node->file == SB_DATA_NO_FILE ? SB_E_IO : error;
}

static uint16_t close_file(struct sb_flash_tree *tree, uint32_t id)
{
    struct sb_flash_node *node = node_at(tree, id);
    uint32_t file = node->file;
    node->file = SB_DATA_NO_FILE;
    return file == SB_DATA_NO_FILE ? SB_E_SUCCESS : ASK(tree, SB_DATA_CLOSE, NULL, file);
}

static uint16_t flash_read(struct sb_fs *fs, uint32_t id, uint64_t offset, uint8_t *to, uint32_t size, uint32_t *done)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint64_t results[SB_DATA_RESULTS] = {0};
    uint32_t part = size < SB_DATA_BYTES ? size : SB_DATA_BYTES;
    uint16_t error = open_file(tree, id);
    *done = 0;
    error = error != SB_E_SUCCESS ? error : ASK(tree, SB_DATA_READ, results, node_at(tree, id)->file, offset, part);
    if (error == SB_E_SUCCESS) {
        *done = results[0] < part ? (uint32_t)results[0] : part;
        memcpy(to, tree->region->bytes, *done);
    }
    return error;
}

static uint16_t flash_write(struct sb_fs *fs, uint32_t id, uint64_t offset, const uint8_t *from, uint32_t size,
                            uint32_t *done)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint64_t results[SB_DATA_RESULTS] = {0};
    uint32_t part = size < SB_DATA_BYTES ? size : SB_DATA_BYTES;
    uint16_t error = open_file(tree, id);
    *done = 0;
    if (error == SB_E_SUCCESS) {
        memcpy(tree->region->bytes, from, part);
        error = ASK(tree, SB_DATA_WRITE, results, node_at(tree, id)->file, offset, part, now(tree));
        *done = results[0] < part ? (uint32_t)results[0] : part;
    }
    return error;
}

static uint16_t flash_resize(struct sb_fs *fs, uint32_t id, uint64_t size)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint16_t error = open_file(tree, id);
    return error != SB_E_SUCCESS ? error : ASK(tree, SB_DATA_RESIZE, NULL, node_at(tree, id)->file, size, now(tree));
}

static uint16_t flash_set_times(struct sb_fs *fs, uint32_t id, uint64_t atim_ns, uint64_t mtim_ns)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint64_t word;
    uint16_t error = path_word(tree, id, &word);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    return ASK(tree, SB_DATA_TIMES, NULL, word, node_at(tree, id)->file, atim_ns, mtim_ns, now(tree));
}

static uint16_t flash_create(struct sb_fs *fs, uint32_t directory, struct sb_name name, enum sb_filetype type,
                             uint32_t *node)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint64_t size;
    if (type != SB_TYPE_FILE && type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTSUP;
    }
    if (node_at(tree, directory)->type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    if (!is_named(tree, directory)) {
        return SB_E_NOENT;
    }
    if (!put_path(tree, directory, name, tree->region->path, &size)) {
        return SB_E_NAMETOOLONG;
    }
    tree->listed = 0;
    uint16_t error = ASK(tree, SB_DATA_CREATE, NULL, size, type, now(tree));
    return error != SB_E_SUCCESS ? error : remember(tree, directory, name, type, node);
}

static uint16_t flash_link(struct sb_fs *fs, uint32_t node, uint32_t directory, struct sb_name name)
{
    (void)fs;
    (void)node;
    (void)directory;
    (void)name;
    return SB_E_NOTSUP;
}

/* Before the last name of a node goes: a file that is held is hidden, and then the name is gone already. */
static uint16_t hide_held(struct sb_flash_tree *tree, uint32_t id, bool *gone)
{
    struct sb_flash_node *node = node_at(tree, id);
    uint64_t word;
    *gone = false;
    if (id == 0 || node->holds == 0 || node->type != SB_TYPE_FILE) {
        return SB_E_SUCCESS;
    }
    uint16_t error = close_file(tree, id); /* littlefs keeps no open file without a name, nor one that moves */
    error = error != SB_E_SUCCESS ? error : path_word(tree, id, &word);
    error = error != SB_E_SUCCESS ? error : ASK(tree, SB_DATA_HIDE, NULL, word, id);
    if (error == SB_E_SUCCESS) {
        detach(tree, id);
        node->hidden = true;
        *gone = true;
    }
    return error;
}

/* After the last name of a node has gone. */
static void lost_name(struct sb_flash_tree *tree, uint32_t id)
{
    if (id != 0 && node_at(tree, id)->holds > 0) {
        detach(tree, id);
    } else if (id != 0) {
        forget(tree, id);
    }
}

static uint16_t flash_unlink(struct sb_fs *fs, uint32_t directory, struct sb_name name)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint32_t id = find(tree, directory, name);
    uint64_t size;
    bool gone;
    tree->listed = 0;
    uint16_t error = hide_held(tree, id, &gone);
    if (error != SB_E_SUCCESS || gone) {
        return error;
    }
    if (!put_path(tree, directory, name, tree->region->path, &size)) {
        return SB_E_NAMETOOLONG;
    }
    error = ASK(tree, SB_DATA_REMOVE, NULL, size);
    if (error == SB_E_SUCCESS) {
        lost_name(tree, id);
    }
    return error;
}

/* Whether `directory` is `ancestor` or lies below it. */
static bool below(struct sb_flash_tree *tree, uint32_t directory, uint32_t ancestor)
{
    for (uint32_t steps = 0; steps < SB_FLASH_NODES && directory != 0; steps++) {
        if (directory == ancestor) {
            return true;
        }
        directory = node_at(tree, directory)->parent;
    }
    return false;
}

/* What POSIX asks of what a rename replaces; littlefs then asks whether a directory is empty. */
static uint16_t may_replace(struct sb_flash_tree *tree, uint32_t id, uint32_t old)
{
    bool directory = node_at(tree, id)->type == SB_TYPE_DIRECTORY;
    if (node_at(tree, old)->type == SB_TYPE_DIRECTORY) {
        return directory ? SB_E_SUCCESS : SB_E_ISDIR;
    }
    return directory ? SB_E_NOTDIR : SB_E_SUCCESS;
}

static uint16_t flash_rename(struct sb_fs *fs, uint32_t directory, struct sb_name name, uint32_t to_directory,
                             struct sb_name to_name)
{
    struct sb_flash_tree *tree = tree_of(fs);
    uint32_t id, old;
    uint64_t size, to_size;
    bool gone;
    uint16_t error = flash_lookup(fs, directory, name, &id);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    error = flash_lookup(fs, to_directory, to_name, &old);
    if (error != SB_E_SUCCESS && error != SB_E_NOENT) {
        return error;
    }
    old = error == SB_E_NOENT ? 0 : old;
    if (old == id) {
        return SB_E_SUCCESS;
    }
    if (!is_named(tree, to_directory)) {
        return SB_E_NOENT;
    }
    if (below(tree, to_directory, id)) {
        return SB_E_INVAL;
    }
    error = old != 0 ? may_replace(tree, id, old) : SB_E_SUCCESS;
    error = error != SB_E_SUCCESS ? error : hide_held(tree, old, &gone);
    error = error != SB_E_SUCCESS ? error : close_file(tree, id);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (!put_path(tree, directory, name, tree->region->path, &size) ||
        !put_path(tree, to_directory, to_name, tree->region->other, &to_size)) {
        return SB_E_NAMETOOLONG;
    }
    tree->listed = 0;
    error = ASK(tree, SB_DATA_RENAME, NULL, size, to_size);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (old != 0 && !node_at(tree, old)->hidden) {
        lost_name(tree, old);
    }
    attach(tree, id, to_directory, to_name);
    return SB_E_SUCCESS;
}

/* Fills the entries with those behind the cookie. */
static uint16_t fetch_entries(struct sb_flash_tree *tree, uint32_t directory, uint64_t cookie)
{
    uint64_t results[SB_DATA_RESULTS] = {0};
    uint64_t word;
    tree->listed = tree->listed_next = 0;
    tree->listed_node = directory;
    uint16_t error = path_word(tree, directory, &word);
    error = error != SB_E_SUCCESS ? error : ASK(tree, SB_DATA_LIST, results, word, cookie);
    if (error == SB_E_SUCCESS) {
        tree->listed = results[0] < SB_DATA_ENTRIES ? (uint32_t)results[0] : SB_DATA_ENTRIES;
        memcpy(tree->entries, tree->region->bytes, tree->listed * sizeof *tree->entries);
    }
    return error;
}

static uint16_t inode_of(struct sb_fs *fs, uint32_t node, uint64_t *inode)
{
    struct sb_stat stat;
    uint16_t error = flash_stat(fs, node, &stat);
    *inode = stat.inode;
    return error;
}

static uint16_t flash_list(struct sb_fs *fs, uint32_t directory, uint64_t cookie, struct sb_listed *entry, bool *end)
{
    struct sb_flash_tree *tree = tree_of(fs);
    *end = false;
    if (cookie < DOT_COOKIES) {
        uint32_t parent = directory == ROOT ? ROOT : node_at(tree, directory)->parent;
        *entry = (struct sb_listed){.cookie = cookie + 1, .type = SB_TYPE_DIRECTORY, .name = {"..", cookie == 0 ? 1 : 2}};
        return inode_of(fs, cookie == 0 || parent == 0 ? directory : parent, &entry->inode);
    }
    bool goes_on = tree->listed_node == directory && tree->listed_next > 0 && tree->listed_next < tree->listed &&
                   tree->entries[tree->listed_next - 1].cookie == cookie;
    uint16_t error = !goes_on && is_named(tree, directory) ? fetch_entries(tree, directory, cookie) : SB_E_SUCCESS;
    if (error != SB_E_SUCCESS || !is_named(tree, directory) || tree->listed == 0) {
        *end = error == SB_E_SUCCESS;
        return error;
    }
    const struct sb_data_entry *found = &tree->entries[tree->listed_next++];
    *entry = (struct sb_listed){.cookie = found->cookie,
                                .inode = found->inode,
                                .type = (enum sb_filetype)found->type,
                                .name = {found->name, found->size}};
    return SB_E_SUCCESS;
}

static void flash_hold(struct sb_fs *fs, uint32_t node)
{
    node_at(tree_of(fs), node)->holds++;
}

/* An error of flash at this point is told to nobody: who needs to know syncs first, as everywhere. */
static void flash_release(struct sb_fs *fs, uint32_t id)
{
    struct sb_flash_tree *tree = tree_of(fs);
    struct sb_flash_node *node = node_at(tree, id);
    if (--node->holds > 0) {
        return;
    }
    (void)close_file(tree, id);
    if (node->hidden) {
        (void)ASK(tree, SB_DATA_UNHIDE, NULL, id);
    }
    if (!is_named(tree, id)) {
        forget(tree, id);
    }
}

static uint16_t flash_sync(struct sb_fs *fs, uint32_t id)
{
    struct sb_flash_tree *tree = tree_of(fs);
    const struct sb_flash_node *node = node_at(tree, id);
    return node->file == SB_DATA_NO_FILE ? SB_E_SUCCESS : ASK(tree, SB_DATA_SYNC, NULL, node->file);
}

static const struct sb_fs_ops flash_ops = {
    .lookup = flash_lookup,
    .parent = flash_parent,
    .stat = flash_stat,
    .read = flash_read,
    .write = flash_write,
    .resize = flash_resize,
    .set_times = flash_set_times,
    .create = flash_create,
    .link = flash_link,
    .unlink = flash_unlink,
    .rename = flash_rename,
    .list = flash_list,
    .hold = flash_hold,
    .release = flash_release,
    .sync = flash_sync,
};

uint16_t sb_flash_start(struct sb_flash_tree *tree, uint64_t bytes_max)
{
    memset(tree->nodes, 0, sizeof tree->nodes);
    tree->nodes[ROOT] = (struct sb_flash_node){.type = SB_TYPE_DIRECTORY, .file = SB_DATA_NO_FILE, .holds = 1};
    tree->listed = 0;
    tree->fs.ops = &flash_ops;
    tree->fs.root = ROOT;
    uint16_t error = ASK(tree, SB_DATA_RESET, NULL, bytes_max);
    tree->used = error == SB_E_SUCCESS;
    return error;
}

void sb_flash_end(struct sb_flash_tree *tree)
{
    if (tree->used) {
        (void)ASK(tree, SB_DATA_RESET, NULL, 0);
        tree->used = false;
    }
}
