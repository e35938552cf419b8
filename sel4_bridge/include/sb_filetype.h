/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of files, as WASI numbers them. Source: preview1, `filetype`. */
#pragma once

enum sb_filetype {
    SB_TYPE_UNKNOWN = 0,
    SB_TYPE_CHARACTER = 2,
    SB_TYPE_DIRECTORY = 3,
    SB_TYPE_FILE = 4,
    SB_TYPE_SOCKET_DGRAM = 5,
    SB_TYPE_SOCKET_STREAM = 6,
    SB_TYPE_SYMLINK = 7,
};
