/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the wasi domain asks of the store: the /data directory of each slot, one protected call an operation.
 *
 * Contract: label and arguments as below, paths and bytes in the shared region `data` (wasi rw, store rw), MR0 of the
 * answer is an enum sb_errno. A path is relative to the slot's directory, components joined by single '/', none of them
 * "." or ".."; "" is the directory itself. What was written to a file is on flash, all of it, when SB_DATA_SYNC,
 * SB_DATA_CLOSE or SB_DATA_RESET has answered, else what was there before; everything else is on flash when it has
 * answered. SB_PENDING, of writes and resizes, says that a part of the zeros that a file grows by is there: who asks again
 * gets further, and others have had their turn. Files that lost their last name while they were open lie under SB_DATA_GONE until they are closed.
 */
#pragma once

#include <stdint.h>

#define SB_DATA_REGION_SIZE 20480u /* bytes of the whole region */
#define SB_DATA_PATH 2047u         /* bytes of a path */
#define SB_DATA_BYTES 16384u       /* of one read or write: what is longer takes several calls, others get their turn */
#define SB_DATA_FILE_MAX 1048576u  /* bytes of a file: what one call may have to copy on flash is bounded by it */
#define SB_DATA_FILES 12u          /* open at a time, each slot */
#define SB_DATA_FLASH_MAX 16777216u /* bytes of flash a slot's files may take, with what the file system adds */
#define SB_DATA_NO_FILE SB_DATA_FILES
#define SB_DATA_NAME 255u           /* bytes of a component; at most 16 of them */

/* The first argument is always the slot. Results follow MR0. `now` is real time in nanoseconds. */
enum sb_data_label {
    SB_DATA_RESET = 0x40,  /* bytes: closes all files, forgets those without a name, sets the limit of bytes stored */
    SB_DATA_STAT = 0x41,   /* path's size, file or SB_DATA_NO_FILE: -> type, size; struct sb_data_times in bytes */
    SB_DATA_CREATE = 0x42, /* path's size, type (file or directory), now */
    SB_DATA_OPEN = 0x43,   /* path's size: -> file */
    SB_DATA_CLOSE = 0x44,  /* file */
    SB_DATA_READ = 0x45,   /* file, offset, size: -> bytes read */
    SB_DATA_WRITE = 0x46,  /* file, offset, size, now: -> bytes written; none is ENOSPC */
    SB_DATA_RESIZE = 0x47, /* file, size, now */
    SB_DATA_SYNC = 0x48,   /* file */
    SB_DATA_TIMES = 0x49,  /* path's size, file or none, access time, modification time, now */
    SB_DATA_REMOVE = 0x4a, /* path's size: a file that is not open, or an empty directory */
    SB_DATA_RENAME = 0x4b, /* size of path, size of other; neither is an open file */
    SB_DATA_HIDE = 0x4c,   /* path's size, number: the file becomes that one under SB_DATA_GONE; it is not open */
    SB_DATA_UNHIDE = 0x4d, /* number: it is gone; it is not open */
    SB_DATA_LIST = 0x4e,   /* path's size, cookie: -> count of struct sb_data_entry in bytes, those behind the cookie */
};
#define SB_DATA_ARGUMENTS 6u
#define SB_DATA_RESULTS 2u

/* SB_DATA_OPEN of a hidden file: this bit in the path's size, the number in place of a path. */
#define SB_DATA_HIDDEN 0x10000u

struct sb_data_times {
    uint64_t inode, atim_ns, mtim_ns, ctim_ns;
};

struct sb_data_entry {
    uint64_t cookie; /* 3 and up, grows through a listing */
    uint64_t inode;
    uint8_t type; /* enum sb_filetype */
    uint8_t size; /* of the name */
    char name[SB_DATA_NAME + 1u];
};
#define SB_DATA_ENTRIES 32u

struct sb_data_region {
    char path[SB_DATA_PATH + 1u];
    char other[SB_DATA_PATH + 1u];
    uint8_t bytes[SB_DATA_BYTES] __attribute__((aligned(8)));
};
_Static_assert(sizeof(struct sb_data_region) == SB_DATA_REGION_SIZE, "the region's size");
_Static_assert(SB_DATA_ENTRIES * sizeof(struct sb_data_entry) <= SB_DATA_BYTES, "a listing's part fits");
