/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that take a path, and listings. Source: preview1, path_* and fd_readdir.
 *
 * Rights that a path_open asks for and its directory can't give are left out, as other engines do; each call then checks
 * the rights that are there.
 */
#include <string.h>

#include "fd.h"
#include "filestat.h"
#include "path.h"
#include "sb_wasi_handlers.h"
#include "topic.h"

enum { LOOKUP_FOLLOW = 1 };
enum { OPEN_CREATE = 1, OPEN_DIRECTORY = 2, OPEN_EXCLUSIVE = 4, OPEN_TRUNCATE = 8, OPEN_ALL = 15 };
enum { DIRENT_SIZE = 24 };

/* The directory `fd` with those rights, and the path from there. */
static uint16_t locate(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_in path, bool follow,
                       struct sb_path *found)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get_directory(slot, fd, rights, &open);
    return error != SB_E_SUCCESS ? error : sb_path_resolve(open->node, path, follow, found);
}

/* The same for something that is there. */
static uint16_t locate_existing(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_in path,
                                bool follow, struct sb_path *found)
{
    uint16_t error = locate(slot, fd, rights, path, follow, found);
    return error == SB_E_SUCCESS && found->node.fs == NULL ? SB_E_NOENT : error;
}

uint16_t sb_wasi_path_create_directory(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in path)
{
    struct sb_path found;
    uint32_t node;
    uint16_t error = locate(slot, fd, SB_RIGHT_PATH_CREATE_DIRECTORY, path, false, &found);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (found.node.fs != NULL) {
        return SB_E_EXIST;
    }
    return found.parent.fs->ops->create(found.parent.fs, found.parent.id, found.name, SB_TYPE_DIRECTORY, &node);
}

uint16_t sb_wasi_path_filestat_get(struct sb_wasi_slot *slot, uint32_t fd, uint32_t flags, struct sb_in path,
                                   struct sb_out *stat)
{
    struct sb_path found;
    uint16_t error =
        locate_existing(slot, fd, SB_RIGHT_PATH_FILESTAT_GET, path, (flags & LOOKUP_FOLLOW) != 0, &found);
    if (error == SB_E_SUCCESS) {
        sb_filestat_put(stat, found.node.fs->device, &found.stat);
    }
    return error;
}

uint16_t sb_wasi_path_filestat_set_times(struct sb_wasi_slot *slot, uint32_t fd, uint32_t flags, struct sb_in path,
                                         uint64_t atim, uint64_t mtim, uint32_t fst_flags)
{
    struct sb_path found;
    uint16_t error =
        locate_existing(slot, fd, SB_RIGHT_PATH_FILESTAT_SET_TIMES, path, (flags & LOOKUP_FOLLOW) != 0, &found);
    return error != SB_E_SUCCESS ? error : sb_filestat_set_times(slot, found.node, atim, mtim, fst_flags);
}

/* A new name that is neither there nor written as a directory's. */
static uint16_t new_name(const struct sb_path *found)
{
    if (found->node.fs != NULL) {
        return SB_E_EXIST;
    }
    return found->slash ? SB_E_NOENT : SB_E_SUCCESS;
}

uint16_t sb_wasi_path_link(struct sb_wasi_slot *slot, uint32_t old_fd, uint32_t old_flags, struct sb_in old_path,
                           uint32_t new_fd, struct sb_in new_path)
{
    struct sb_path old;
    struct sb_path new;
    if (old_flags != 0) {
        return SB_E_INVAL; /* a link to what a symbolic link points to: not offered */
    }
    uint16_t error = locate_existing(slot, old_fd, SB_RIGHT_PATH_LINK_SOURCE, old_path, false, &old);
    if (error == SB_E_SUCCESS) {
        error = locate(slot, new_fd, SB_RIGHT_PATH_LINK_TARGET, new_path, false, &new);
    }
    if (error == SB_E_SUCCESS) {
        error = new_name(&new);
    }
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (old.node.fs != new.parent.fs) {
        return SB_E_XDEV;
    }
    return new.parent.fs->ops->link(new.parent.fs, old.node.id, new.parent.id, new.name);
}

/* What path_open makes of a path that names nothing. */
static uint16_t create_file(const struct sb_fd *directory, struct sb_path *found, uint32_t oflags)
{
    if ((oflags & OPEN_CREATE) == 0 || found->slash) {
        return SB_E_NOENT;
    }
    if ((oflags & OPEN_DIRECTORY) != 0) {
        return SB_E_INVAL;
    }
    if ((directory->rights & SB_RIGHT_PATH_CREATE_FILE) == 0) {
        return SB_E_NOTCAPABLE;
    }
    found->node.fs = found->parent.fs;
    found->stat.type = SB_TYPE_FILE;
    return found->parent.fs->ops->create(found->parent.fs, found->parent.id, found->name, SB_TYPE_FILE,
                                         &found->node.id);
}

/* Whether what is there may be opened so. */
static uint16_t check_existing(const struct sb_fd *directory, const struct sb_path *found, uint32_t oflags)
{
    if ((oflags & OPEN_CREATE) != 0 && (oflags & OPEN_EXCLUSIVE) != 0) {
        return SB_E_EXIST;
    }
    if (found->stat.type == SB_TYPE_SYMLINK) {
        return SB_E_LOOP;
    }
    if (found->stat.type == SB_TYPE_DIRECTORY) {
        return (oflags & (OPEN_TRUNCATE | OPEN_CREATE)) != 0 ? SB_E_ISDIR : SB_E_SUCCESS;
    }
    if ((oflags & OPEN_DIRECTORY) != 0) {
        return SB_E_NOTDIR;
    }
    bool truncates = (oflags & OPEN_TRUNCATE) != 0;
    return truncates && (directory->rights & SB_RIGHT_PATH_FILESTAT_SET_SIZE) == 0 ? SB_E_NOTCAPABLE : SB_E_SUCCESS;
}

uint16_t sb_wasi_path_open(struct sb_wasi_slot *slot, uint32_t fd, uint32_t dirflags, struct sb_in path,
                           uint32_t oflags, uint64_t rights_base, uint64_t rights_inheriting, uint32_t fdflags,
                           uint32_t *opened)
{
    struct sb_fd *directory;
    struct sb_path found;
    bool flags_are_good = (oflags & ~(uint32_t)OPEN_ALL) == 0 && (fdflags & ~(uint32_t)SB_FDFLAGS_ALL) == 0;
    uint16_t error = sb_fd_get(slot, fd, SB_RIGHT_PATH_OPEN, &directory);
    if (error == SB_E_SUCCESS && directory->kind == SB_FD_TOPICS) {
        rights_base &= directory->inheriting;
        return flags_are_good ? sb_topic_open(slot, path, oflags, rights_base, fdflags, opened) : SB_E_INVAL;
    }
    error = sb_fd_get_directory(slot, fd, SB_RIGHT_PATH_OPEN, &directory);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (!flags_are_good) {
        return SB_E_INVAL;
    }
    bool exclusive = (oflags & OPEN_CREATE) != 0 && (oflags & OPEN_EXCLUSIVE) != 0;
    error = sb_path_resolve(directory->node, path, (dirflags & LOOKUP_FOLLOW) != 0 && !exclusive, &found);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (found.node.fs != NULL && found.stat.type == SB_TYPE_DIRECTORY && (rights_base & SB_RIGHT_FD_WRITE) != 0) {
        return SB_E_ISDIR;
    }
    bool created = found.node.fs == NULL;
    error = created ? create_file(directory, &found, oflags) : check_existing(directory, &found, oflags);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    bool is_directory = found.stat.type == SB_TYPE_DIRECTORY;
    uint64_t possible = is_directory ? SB_RIGHTS_DIRECTORY : SB_RIGHTS_FILE;
    struct sb_fd open = {.kind = is_directory ? SB_FD_DIRECTORY : SB_FD_FILE,
                         .flags = (uint16_t)fdflags,
                         .rights = rights_base & directory->inheriting & possible,
                         .inheriting = is_directory ? rights_inheriting & directory->inheriting : 0,
                         .node = found.node};
    error = sb_fd_open(slot, &open, opened);
    if (error == SB_E_SUCCESS && !created && (oflags & OPEN_TRUNCATE) != 0) {
        error = found.node.fs->ops->resize(found.node.fs, found.node.id, 0);
    }
    return error;
}

uint16_t sb_wasi_path_readlink(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in path, struct sb_out *buf,
                               uint32_t *bufused)
{
    struct sb_path found;
    uint16_t error = locate_existing(slot, fd, SB_RIGHT_PATH_READLINK, path, false, &found);
    if (error == SB_E_SUCCESS && found.stat.type != SB_TYPE_SYMLINK) {
        return SB_E_INVAL;
    }
    if (error == SB_E_SUCCESS) {
        error = found.node.fs->ops->read(found.node.fs, found.node.id, 0, buf->bytes, buf->room, &buf->used);
        *bufused = buf->used;
    }
    return error;
}

/* Removes a name of the wanted sort; ENOTDIR and EISDIR tell of the other. */
static uint16_t remove_name(struct sb_wasi_slot *slot, uint32_t fd, uint64_t right, struct sb_in path, bool directory)
{
    struct sb_path found;
    uint16_t error = locate_existing(slot, fd, right, path, false, &found);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if ((found.stat.type == SB_TYPE_DIRECTORY) != directory) {
        return directory ? SB_E_NOTDIR : SB_E_ISDIR;
    }
    if (found.parent.fs == NULL) {
        return SB_E_INVAL; /* "." and the like name no entry */
    }
    return found.parent.fs->ops->unlink(found.parent.fs, found.parent.id, found.name);
}

uint16_t sb_wasi_path_remove_directory(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in path)
{
    return remove_name(slot, fd, SB_RIGHT_PATH_REMOVE_DIRECTORY, path, true);
}

uint16_t sb_wasi_path_unlink_file(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in path)
{
    return remove_name(slot, fd, SB_RIGHT_PATH_UNLINK_FILE, path, false);
}

uint16_t sb_wasi_path_rename(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in old_path, uint32_t new_fd,
                             struct sb_in new_path)
{
    struct sb_path old;
    struct sb_path new;
    char name[SB_NAME_MAX];
    uint16_t error = locate_existing(slot, fd, SB_RIGHT_PATH_RENAME_SOURCE, old_path, false, &old);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    memcpy(name, old.name.bytes, old.name.size); /* the next resolution takes its place */
    old.name.bytes = name;
    error = locate(slot, new_fd, SB_RIGHT_PATH_RENAME_TARGET, new_path, false, &new);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (old.parent.fs == NULL || new.parent.fs == NULL) {
        return SB_E_BUSY; /* "." and the like name no entry */
    }
    if (old.parent.fs != new.parent.fs) {
        return SB_E_XDEV;
    }
    if (new.slash && old.stat.type != SB_TYPE_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    return old.parent.fs->ops->rename(old.parent.fs, old.parent.id, old.name, new.parent.id, new.name);
}

uint16_t sb_wasi_path_symlink(struct sb_wasi_slot *slot, struct sb_in old_path, uint32_t fd, struct sb_in new_path)
{
    struct sb_path found;
    uint32_t node;
    uint32_t done;
    uint16_t error = locate(slot, fd, SB_RIGHT_PATH_SYMLINK, new_path, false, &found);
    if (error == SB_E_SUCCESS) {
        error = new_name(&found);
    }
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (old_path.size == 0) {
        return SB_E_NOENT;
    }
    if (old_path.bytes[0] == '/') {
        return SB_E_NOTCAPABLE; /* it could never be followed */
    }
    struct sb_fs *fs = found.parent.fs;
    error = fs->ops->create(fs, found.parent.id, found.name, SB_TYPE_SYMLINK, &node);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    error = fs->ops->write(fs, node, 0, old_path.bytes, old_path.size, &done);
    if (error != SB_E_SUCCESS || done < old_path.size) {
        (void)fs->ops->unlink(fs, found.parent.id, found.name);
        return error != SB_E_SUCCESS ? error : SB_E_NOSPC;
    }
    return SB_E_SUCCESS;
}

/* Adds bytes as far as there is room. */
static void add(struct sb_out *buf, const void *bytes, uint32_t size)
{
    uint32_t part = size < buf->room - buf->used ? size : buf->room - buf->used;
    memcpy(buf->bytes + buf->used, bytes, part);
    buf->used += part;
}

/* dirent: u64 next cookie, u64 inode at 8, u32 length of the name at 16, u8 type at 20, then the name. */
uint16_t sb_wasi_fd_readdir(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *buf, uint64_t cookie,
                            uint32_t *bufused)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get_directory(slot, fd, SB_RIGHT_FD_READDIR, &open);
    while (error == SB_E_SUCCESS && buf->used < buf->room) { /* every round fills some of it */
        struct sb_listed entry;
        bool end;
        error = open->node.fs->ops->list(open->node.fs, open->node.id, cookie, &entry, &end);
        if (error != SB_E_SUCCESS || end) {
            break;
        }
        uint8_t head[DIRENT_SIZE] = {0};
        memcpy(head, &entry.cookie, 8);
        memcpy(head + 8, &entry.inode, 8);
        memcpy(head + 16, &entry.name.size, 4);
        head[20] = (uint8_t)entry.type;
        add(buf, head, sizeof head);
        add(buf, entry.name.bytes, entry.name.size);
        cookie = entry.cookie;
    }
    *bufused = buf->used;
    return error;
}
