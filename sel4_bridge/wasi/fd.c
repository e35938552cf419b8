/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors: the table of a slot and the calls on descriptors. Source: preview1, fd_*.
 *
 * Standard streams only: 0 reads what the host offers (nothing on a device yet), 1 and 2 go to the slot's log. They
 * are character devices without seek, so that C libraries buffer by line. Nothing is preopened.
 */
#include <string.h>

#include "fd.h"
#include "sb_wasi_handlers.h"

enum { FILETYPE_CHARACTER_DEVICE = 2 };

struct sb_fd *sb_fd_at(struct sb_wasi_slot *slot, uint32_t fd)
{
    return fd < SB_MAX_FDS && slot->fds[fd].kind != SB_FD_CLOSED ? &slot->fds[fd] : NULL;
}

uint16_t sb_wasi_fd_close(struct sb_wasi_slot *slot, uint32_t fd)
{
    struct sb_fd *open = sb_fd_at(slot, fd);
    if (open == NULL) {
        return SB_E_BADF;
    }
    memset(open, 0, sizeof *open);
    return SB_E_SUCCESS;
}

/* fdstat: u8 filetype, u16 flags at 2, u64 rights at 8, u64 inheriting rights at 16. */
uint16_t sb_wasi_fd_fdstat_get(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *stat)
{
    const struct sb_fd *open = sb_fd_at(slot, fd);
    if (open == NULL) {
        return SB_E_BADF;
    }
    memset(stat->bytes, 0, stat->room);
    stat->bytes[0] = FILETYPE_CHARACTER_DEVICE;
    memcpy(stat->bytes + 2, &open->flags, 2);
    memcpy(stat->bytes + 8, &open->rights, 8);
    memcpy(stat->bytes + 16, &open->inheriting, 8);
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_fd_prestat_get(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *prestat)
{
    (void)slot;
    (void)fd;
    (void)prestat;
    return SB_E_BADF; /* nothing is preopened */
}

uint16_t sb_wasi_fd_prestat_dir_name(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *path)
{
    (void)slot;
    (void)fd;
    (void)path;
    return SB_E_BADF;
}

uint16_t sb_wasi_fd_read(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *iovs, uint32_t *nread)
{
    const struct sb_fd *open = sb_fd_at(slot, fd);
    if (open == NULL) {
        return SB_E_BADF;
    }
    if ((open->rights & SB_RIGHT_FD_READ) == 0) {
        return SB_E_NOTCAPABLE;
    }
    if (iovs->room > 0) {
        iovs->used = slot->host->input(slot->host->context, slot->number, iovs->bytes, iovs->room);
    }
    *nread = iovs->used;
    return SB_E_SUCCESS;
}

uint16_t sb_wasi_fd_write(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in iovs, uint32_t *nwritten)
{
    const struct sb_fd *open = sb_fd_at(slot, fd);
    if (open == NULL) {
        return SB_E_BADF;
    }
    if ((open->rights & SB_RIGHT_FD_WRITE) == 0) {
        return SB_E_NOTCAPABLE;
    }
    const struct sb_wasi_host *host = slot->host;
    while (iovs.size > 0 && *nwritten == 0) { /* twice at most: room that appears while we ask for it stays */
        *nwritten = host->output(host->context, slot->number, open->stream, iovs.bytes, iovs.size);
        if (*nwritten == 0 && !host->output_wake(host->context, slot->number)) {
            return SB_PENDING;
        }
    }
    return SB_E_SUCCESS;
}

static uint16_t no_offset(struct sb_wasi_slot *slot, uint32_t fd)
{
    return sb_fd_at(slot, fd) == NULL ? SB_E_BADF : SB_E_SPIPE;
}

uint16_t sb_wasi_fd_seek(struct sb_wasi_slot *slot, uint32_t fd, uint64_t offset, uint32_t whence, uint64_t *newoffset)
{
    (void)offset;
    (void)whence;
    (void)newoffset;
    return no_offset(slot, fd);
}

uint16_t sb_wasi_fd_tell(struct sb_wasi_slot *slot, uint32_t fd, uint64_t *offset)
{
    (void)offset;
    return no_offset(slot, fd);
}
