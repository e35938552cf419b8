/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: the table of a slot, and the calls that every kind of descriptor answers. Source: preview1, fd_*.
 *
 * Streams 0, 1 and 2 are character devices without seek, so that C libraries buffer by line: 0 reads what the host
 * offers (nothing on a device), 1 and 2 go to the slot's log.
 */
#include "fd.h"

#include <string.h>

#include "sb_wasi_handlers.h"

enum { FIRST_FREE = 3 };
#define NS_PER_S UINT64_C(1000000000)

enum { WHENCE_SET = 0, WHENCE_CURRENT = 1, WHENCE_END = 2 };

uint16_t sb_fd_get(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open)
{
    if (fd >= SB_MAX_FDS || slot->fds[fd].kind == SB_FD_CLOSED) {
        return SB_E_BADF;
    }
    *open = &slot->fds[fd];
    return (rights & ~(*open)->rights) != 0 ? SB_E_NOTCAPABLE : SB_E_SUCCESS;
}

uint16_t sb_fd_get_file(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open)
{
    uint16_t error = sb_fd_get(slot, fd, 0, open);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if ((*open)->kind != SB_FD_FILE) {
        return (*open)->kind == SB_FD_DIRECTORY ? SB_E_ISDIR : SB_E_SPIPE;
    }
    return sb_fd_get(slot, fd, rights, open);
}

uint16_t sb_fd_get_directory(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open)
{
    uint16_t error = sb_fd_get(slot, fd, 0, open);
    if (error == SB_E_SUCCESS && (*open)->kind == SB_FD_TOPICS) {
        return SB_E_NOTCAPABLE; /* path_open is all that it knows */
    }
    if (error == SB_E_SUCCESS && (*open)->kind != SB_FD_DIRECTORY) {
        return SB_E_NOTDIR;
    }
    return error != SB_E_SUCCESS ? error : sb_fd_get(slot, fd, rights, open);
}

uint16_t sb_fd_open(struct sb_wasi_slot *slot, const struct sb_fd *open, uint32_t *fd)
{
    uint32_t used = 0;
    uint32_t place = SB_MAX_FDS;
    for (uint32_t at = SB_MAX_FDS; at-- > 0;) {
        bool closed = slot->fds[at].kind == SB_FD_CLOSED;
        used += closed ? 0u : 1u;
        place = closed && at >= FIRST_FREE ? at : place;
    }
    if (place == SB_MAX_FDS || used >= slot->policy.max_fds) {
        return SB_E_MFILE;
    }
    slot->fds[place] = *open;
    if (open->node.fs != NULL) {
        open->node.fs->ops->hold(open->node.fs, open->node.id);
    }
    *fd = place;
    return SB_E_SUCCESS;
}

void sb_fd_close(struct sb_wasi_slot *slot, struct sb_fd *open)
{
    if (open->kind == SB_FD_CHANNEL) {
        sb_channel_close(&slot->channels, open->channel);
    }
    if (open->node.fs != NULL) {
        open->node.fs->ops->release(open->node.fs, open->node.id);
    }
    memset(open, 0, sizeof *open);
}

uint16_t sb_fd_again(const struct sb_fd *open, uint16_t error)
{
    return error == SB_E_AGAIN && (open->flags & SB_FDFLAG_NONBLOCK) == 0 ? SB_PENDING : error;
}

uint16_t sb_wasi_fd_close(struct sb_wasi_slot *slot, uint32_t fd)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    if (error == SB_E_SUCCESS) {
        sb_fd_close(slot, open);
    }
    return error;
}

/* Moves `fd` to the place of `to`, which must be open too and is closed. */
uint16_t sb_wasi_fd_renumber(struct sb_wasi_slot *slot, uint32_t fd, uint32_t to)
{
    struct sb_fd *from;
    struct sb_fd *place;
    uint16_t error = sb_fd_get(slot, fd, 0, &from);
    if (error == SB_E_SUCCESS) {
        error = sb_fd_get(slot, to, 0, &place);
    }
    if (error == SB_E_SUCCESS && from != place) {
        sb_fd_close(slot, place);
        *place = *from;
        memset(from, 0, sizeof *from);
    }
    return error;
}

enum sb_filetype sb_fd_type(const struct sb_wasi_slot *slot, const struct sb_fd *open)
{
    switch (open->kind) {
    case SB_FD_CHANNEL:
        return sb_channel_file_type(&slot->channels.all[open->channel]);
    case SB_FD_FILE:
        return SB_TYPE_FILE;
    case SB_FD_DIRECTORY:
    case SB_FD_TOPICS:
        return SB_TYPE_DIRECTORY;
    default:
        return SB_TYPE_CHARACTER;
    }
}

/* fdstat: u8 filetype, u16 flags at 2, u64 rights at 8, u64 inheriting rights at 16. */
uint16_t sb_wasi_fd_fdstat_get(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *stat)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    if (error == SB_E_SUCCESS) {
        memset(stat->bytes, 0, stat->room);
        stat->bytes[0] = (uint8_t)sb_fd_type(slot, open);
        memcpy(stat->bytes + 2, &open->flags, 2);
        memcpy(stat->bytes + 8, &open->rights, 8);
        memcpy(stat->bytes + 16, &open->inheriting, 8);
    }
    return error;
}

uint16_t sb_wasi_fd_fdstat_set_flags(struct sb_wasi_slot *slot, uint32_t fd, uint32_t flags)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, SB_RIGHT_FD_FDSTAT_SET_FLAGS, &open);
    if (error == SB_E_SUCCESS && (flags & ~(uint32_t)SB_FDFLAGS_ALL) != 0) {
        return SB_E_INVAL;
    }
    if (error == SB_E_SUCCESS) {
        open->flags = (uint16_t)flags;
    }
    return error;
}

/* Rights can be given up, never gained. */
uint16_t sb_wasi_fd_fdstat_set_rights(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights_base,
                                      uint64_t rights_inheriting)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if ((rights_base & ~open->rights) != 0 || (rights_inheriting & ~open->inheriting) != 0) {
        return SB_E_NOTCAPABLE;
    }
    open->rights = rights_base;
    open->inheriting = rights_inheriting;
    return SB_E_SUCCESS;
}

/* prestat: u8 tag (0: directory), u32 length of the name at 4. */
uint16_t sb_wasi_fd_prestat_get(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *prestat)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    if (error != SB_E_SUCCESS || open->preopen.size == 0) {
        return SB_E_BADF;
    }
    memset(prestat->bytes, 0, prestat->room);
    memcpy(prestat->bytes + 4, &open->preopen.size, 4);
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_fd_prestat_dir_name(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *path)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    if (error != SB_E_SUCCESS || open->preopen.size == 0) {
        return SB_E_BADF;
    }
    if (path->room < open->preopen.size) {
        return SB_E_NAMETOOLONG;
    }
    memcpy(path->bytes, open->preopen.bytes, open->preopen.size);
    path->used = open->preopen.size;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_fd_read(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *iovs, uint32_t *nread)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, SB_RIGHT_FD_READ, &open);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (open->kind == SB_FD_FILE) {
        error = open->node.fs->ops->read(open->node.fs, open->node.id, open->offset, iovs->bytes, iovs->room,
                                         &iovs->used);
        open->offset += error == SB_E_SUCCESS ? iovs->used : 0;
    } else if (open->kind == SB_FD_CHANNEL && !sb_channel_is_plain(&slot->channels.all[open->channel])) {
        error = SB_E_NOTSUP; /* sock_recv and sock_send know the addresses that datagrams go with */
    } else if (open->kind == SB_FD_CHANNEL) {
        error = sb_channel_read(&slot->channels, open->channel, iovs->bytes, iovs->room, true, &iovs->used);
        error = sb_fd_again(open, error);
    } else if (iovs->room > 0) {
        iovs->used = slot->host->input(slot->host->context, slot->number, iovs->bytes, iovs->room);
    }
    *nread = iovs->used;
    return error;
}

/* Bytes that the policy's rate leaves now, at most `size`; none: the slot is woken when there is one. */
static uint32_t rated(struct sb_wasi_slot *slot, uint32_t size)
{
    const uint64_t rate = slot->policy.output_rate;
    uint64_t now_ns = slot->host->monotonic_ns(slot->host->context);
    uint64_t passed_ns = now_ns - slot->output_at_ns;
    uint64_t earned = passed_ns < NS_PER_S ? passed_ns * rate / NS_PER_S : rate;
    if (earned > 0) {
        slot->output_at_ns = now_ns; /* a byte's fraction is lost */
        slot->output_left = slot->output_left + earned < rate ? slot->output_left + earned : rate;
    }
    if (slot->output_left == 0) {
        slot->host->wake_at(slot->host->context, slot->number, slot->output_at_ns + NS_PER_S / rate + 1);
    }
    return slot->output_left < size ? (uint32_t)slot->output_left : size;
}

static uint16_t write_stream(struct sb_wasi_slot *slot, const struct sb_fd *open, struct sb_in bytes, uint32_t *done)
{
    const struct sb_wasi_host *host = slot->host;
    if (slot->policy.output_rate == 0) {
        return SB_E_NOTCAPABLE;
    }
    if (slot->policy.output_rate != UINT32_MAX && bytes.size > 0) {
        bytes.size = rated(slot, bytes.size);
        if (bytes.size == 0) {
            return sb_fd_again(open, SB_E_AGAIN);
        }
    }
    while (bytes.size > 0 && *done == 0) { /* twice at most: room that appears while we ask for it stays */
        *done = host->output(host->context, slot->number, open->stream, bytes.bytes, bytes.size);
        if (*done == 0 && !host->output_wake(host->context, slot->number)) {
            return SB_PENDING;
        }
    }
    slot->output_left -= slot->policy.output_rate != UINT32_MAX ? *done : 0;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_fd_write(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in iovs, uint32_t *nwritten)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, SB_RIGHT_FD_WRITE, &open);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (open->kind == SB_FD_CHANNEL && !sb_channel_is_plain(&slot->channels.all[open->channel])) {
        return SB_E_NOTSUP;
    }
    if (open->kind == SB_FD_CHANNEL) {
        error = sb_channel_write(&slot->channels, open->channel, iovs.bytes, iovs.size, nwritten);
        return sb_fd_again(open, error);
    }
    if (open->kind != SB_FD_FILE) {
        return write_stream(slot, open, iovs, nwritten);
    }
    struct sb_fs *fs = open->node.fs;
    if (open->flags & SB_FDFLAG_APPEND) {
        struct sb_stat stat;
        error = fs->ops->stat(fs, open->node.id, &stat);
        if (error != SB_E_SUCCESS) {
            return error;
        }
        open->offset = stat.size;
    }
    error = fs->ops->write(fs, open->node.id, open->offset, iovs.bytes, iovs.size, nwritten);
    open->offset += error == SB_E_SUCCESS ? *nwritten : 0;
    return error;
}

uint16_t sb_wasi_fd_seek(struct sb_wasi_slot *slot, uint32_t fd, uint64_t offset, uint32_t whence, uint64_t *newoffset)
{
    struct sb_fd *open;
    bool tells = whence == WHENCE_CURRENT && offset == 0;
    uint16_t error = sb_fd_get_file(slot, fd, tells ? SB_RIGHT_FD_TELL : SB_RIGHT_FD_SEEK, &open);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    struct sb_stat stat;
    error = open->node.fs->ops->stat(open->node.fs, open->node.id, &stat);
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (whence > WHENCE_END) {
        return SB_E_INVAL;
    }
    uint64_t from = whence == WHENCE_SET ? 0 : whence == WHENCE_CURRENT ? open->offset : stat.size;
    uint64_t to = from + offset; /* the offset is signed: two's complement adds the same */
    bool back = (offset >> 63) != 0;
    if ((to >> 63) != 0 || (back ? to > from : to < from)) {
        return SB_E_INVAL;
    }
    open->offset = to;
    *newoffset = to;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_fd_tell(struct sb_wasi_slot *slot, uint32_t fd, uint64_t *offset)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get_file(slot, fd, SB_RIGHT_FD_TELL, &open);
    if (error == SB_E_SUCCESS) {
        *offset = open->offset;
    }
    return error;
}
