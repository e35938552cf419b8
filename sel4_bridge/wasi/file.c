/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on open files: at an offset, size, times, advice. Source: preview1, fd_*. */
#include "fd.h"
#include "filestat.h"
#include "sb_wasi_handlers.h"

enum { LAST_ADVICE = 5 };

uint16_t sb_wasi_fd_pread(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *iovs, uint64_t offset,
                          uint32_t *nread)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get_file(slot, fd, SB_RIGHT_FD_READ | SB_RIGHT_FD_SEEK, &open);
    if (error == SB_E_SUCCESS) {
        error = open->node.fs->ops->read(open->node.fs, open->node.id, offset, iovs->bytes, iovs->room, &iovs->used);
    }
    *nread = iovs->used;
    return error;
}

uint16_t sb_wasi_fd_pwrite(struct sb_wasi_slot *slot, uint32_t fd, struct sb_in iovs, uint64_t offset,
                           uint32_t *nwritten)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get_file(slot, fd, SB_RIGHT_FD_WRITE | SB_RIGHT_FD_SEEK, &open);
    if (error == SB_E_SUCCESS) {
        error = open->node.fs->ops->write(open->node.fs, open->node.id, offset, iovs.bytes, iovs.size, nwritten);
    }
    return error;
}

uint16_t sb_wasi_fd_advise(struct sb_wasi_slot *slot, uint32_t fd, uint64_t offset, uint64_t len, uint32_t advice)
{
    struct sb_fd *open;
    (void)offset;
    (void)len; /* memory is as near as it gets */
    uint16_t error = sb_fd_get_file(slot, fd, SB_RIGHT_FD_ADVISE, &open);
    return error == SB_E_SUCCESS && advice > LAST_ADVICE ? SB_E_INVAL : error;
}

uint16_t sb_wasi_fd_allocate(struct sb_wasi_slot *slot, uint32_t fd, uint64_t offset, uint64_t len)
{
    struct sb_fd *open;
    struct sb_stat stat;
    uint16_t error = sb_fd_get_file(slot, fd, SB_RIGHT_FD_ALLOCATE, &open);
    if (error == SB_E_SUCCESS) {
        error = open->node.fs->ops->stat(open->node.fs, open->node.id, &stat);
    }
    if (error != SB_E_SUCCESS) {
        return error;
    }
    if (len == 0 || len > UINT64_MAX - offset) {
        return SB_E_INVAL;
    }
    if (offset + len <= stat.size) {
        return SB_E_SUCCESS;
    }
    return open->node.fs->ops->resize(open->node.fs, open->node.id, offset + len);
}

/* Nothing is buffered on the way to the slot's RAM; what is on its way to flash is written through. */
static uint16_t synced(struct sb_wasi_slot *slot, uint32_t fd, uint64_t right)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, 0, &open);
    if (error == SB_E_SUCCESS && open->kind != SB_FD_FILE && open->kind != SB_FD_DIRECTORY) {
        return SB_E_INVAL;
    }
    error = error != SB_E_SUCCESS ? error : sb_fd_get(slot, fd, right, &open);
    if (error == SB_E_SUCCESS && open->node.fs->ops->sync != NULL) {
        error = open->node.fs->ops->sync(open->node.fs, open->node.id);
    }
    return error;
}

uint16_t sb_wasi_fd_datasync(struct sb_wasi_slot *slot, uint32_t fd)
{
    return synced(slot, fd, SB_RIGHT_FD_DATASYNC);
}

uint16_t sb_wasi_fd_sync(struct sb_wasi_slot *slot, uint32_t fd)
{
    return synced(slot, fd, SB_RIGHT_FD_SYNC);
}

uint16_t sb_wasi_fd_filestat_get(struct sb_wasi_slot *slot, uint32_t fd, struct sb_out *stat)
{
    struct sb_fd *open;
    struct sb_stat found = {.links = 1};
    uint64_t device = 0;
    uint16_t error = sb_fd_get(slot, fd, SB_RIGHT_FD_FILESTAT_GET, &open);
    found.type = error == SB_E_SUCCESS ? sb_fd_type(slot, open) : SB_TYPE_CHARACTER;
    if (error == SB_E_SUCCESS && open->node.fs != NULL) {
        device = open->node.fs->device;
        error = open->node.fs->ops->stat(open->node.fs, open->node.id, &found);
    }
    if (error == SB_E_SUCCESS) {
        sb_filestat_put(stat, device, &found);
    }
    return error;
}

uint16_t sb_wasi_fd_filestat_set_size(struct sb_wasi_slot *slot, uint32_t fd, uint64_t size)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get_file(slot, fd, SB_RIGHT_FD_FILESTAT_SET_SIZE, &open);
    if (error == SB_E_SUCCESS) {
        error = open->node.fs->ops->resize(open->node.fs, open->node.id, size);
    }
    return error;
}

uint16_t sb_wasi_fd_filestat_set_times(struct sb_wasi_slot *slot, uint32_t fd, uint64_t atim, uint64_t mtim,
                                       uint32_t fst_flags)
{
    struct sb_fd *open;
    uint16_t error = sb_fd_get(slot, fd, SB_RIGHT_FD_FILESTAT_SET_TIMES, &open);
    if (error == SB_E_SUCCESS && open->node.fs == NULL) {
        return SB_E_INVAL;
    }
    return error != SB_E_SUCCESS ? error : sb_filestat_set_times(slot, open->node, atim, mtim, fst_flags);
}
