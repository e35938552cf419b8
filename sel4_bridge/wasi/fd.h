/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor table of a slot, and which rights which kind of descriptor can have. */
#pragma once

#include "slot.h"

#define SB_RIGHTS_FILE                                                                                                \
    (SB_RIGHT_FD_DATASYNC | SB_RIGHT_FD_READ | SB_RIGHT_FD_SEEK | SB_RIGHT_FD_FDSTAT_SET_FLAGS | SB_RIGHT_FD_SYNC |   \
     SB_RIGHT_FD_TELL | SB_RIGHT_FD_WRITE | SB_RIGHT_FD_ADVISE | SB_RIGHT_FD_ALLOCATE | SB_RIGHT_FD_FILESTAT_GET |    \
     SB_RIGHT_FD_FILESTAT_SET_SIZE | SB_RIGHT_FD_FILESTAT_SET_TIMES | SB_RIGHT_POLL_FD_READWRITE)
#define SB_RIGHTS_DIRECTORY                                                                                           \
    (SB_RIGHT_FD_DATASYNC | SB_RIGHT_FD_SYNC | SB_RIGHT_FD_FDSTAT_SET_FLAGS | SB_RIGHT_PATH_CREATE_DIRECTORY |        \
     SB_RIGHT_PATH_CREATE_FILE | SB_RIGHT_PATH_LINK_SOURCE | SB_RIGHT_PATH_LINK_TARGET | SB_RIGHT_PATH_OPEN |         \
     SB_RIGHT_FD_READDIR | SB_RIGHT_PATH_READLINK | SB_RIGHT_PATH_RENAME_SOURCE | SB_RIGHT_PATH_RENAME_TARGET |       \
     SB_RIGHT_PATH_FILESTAT_GET | SB_RIGHT_PATH_FILESTAT_SET_SIZE | SB_RIGHT_PATH_FILESTAT_SET_TIMES |                \
     SB_RIGHT_FD_FILESTAT_GET | SB_RIGHT_FD_FILESTAT_SET_TIMES | SB_RIGHT_PATH_SYMLINK |                              \
     SB_RIGHT_PATH_REMOVE_DIRECTORY | SB_RIGHT_PATH_UNLINK_FILE)
/* Topics and sockets. */
#define SB_RIGHTS_CHANNEL                                                                                             \
    (SB_RIGHT_FD_READ | SB_RIGHT_FD_WRITE | SB_RIGHT_FD_FDSTAT_SET_FLAGS | SB_RIGHT_FD_FILESTAT_GET |                 \
     SB_RIGHT_POLL_FD_READWRITE)
#define SB_RIGHTS_SOCKET (SB_RIGHTS_CHANNEL | SB_RIGHT_SOCK_SHUTDOWN | SB_RIGHT_SOCK_ACCEPT)
/* What a read-only directory and everything opened from it lacks. */
#define SB_RIGHTS_CHANGE                                                                                              \
    (SB_RIGHT_FD_WRITE | SB_RIGHT_FD_ALLOCATE | SB_RIGHT_FD_FILESTAT_SET_SIZE | SB_RIGHT_FD_FILESTAT_SET_TIMES |      \
     SB_RIGHT_PATH_CREATE_DIRECTORY | SB_RIGHT_PATH_CREATE_FILE | SB_RIGHT_PATH_LINK_SOURCE |                         \
     SB_RIGHT_PATH_LINK_TARGET | SB_RIGHT_PATH_RENAME_SOURCE | SB_RIGHT_PATH_RENAME_TARGET |                          \
     SB_RIGHT_PATH_FILESTAT_SET_SIZE | SB_RIGHT_PATH_FILESTAT_SET_TIMES | SB_RIGHT_PATH_SYMLINK |                     \
     SB_RIGHT_PATH_REMOVE_DIRECTORY | SB_RIGHT_PATH_UNLINK_FILE)

enum sb_fdflags { SB_FDFLAG_APPEND = 1, SB_FDFLAG_NONBLOCK = 4, SB_FDFLAGS_ALL = 31 };

/* The open descriptor of that number with all of those rights. EBADF; ENOTCAPABLE. */
uint16_t sb_fd_get(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open);

/* The same, and it must be a file. EISDIR for a directory, ESPIPE for a stream. */
uint16_t sb_fd_get_file(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open);

/* The same, and it must be a directory. ENOTDIR otherwise. */
uint16_t sb_fd_get_directory(struct sb_wasi_slot *slot, uint32_t fd, uint64_t rights, struct sb_fd **open);

/* Puts a copy into the lowest free place from 3 up and holds its node. EMFILE. */
uint16_t sb_fd_open(struct sb_wasi_slot *slot, const struct sb_fd *open, uint32_t *fd);

/* Frees the place and lets the node or channel go. */
void sb_fd_close(struct sb_wasi_slot *slot, struct sb_fd *open);

enum sb_filetype sb_fd_type(const struct sb_wasi_slot *slot, const struct sb_fd *open);

/* EAGAIN as the descriptor wants it: itself, or SB_PENDING. */
uint16_t sb_fd_again(const struct sb_fd *open, uint16_t error);
