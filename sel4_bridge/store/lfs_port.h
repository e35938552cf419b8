/* SPDX-License-Identifier: Apache-2.0 */
/* littlefs' interface as it is built here: no malloc, no assertions, no messages. In place of <lfs.h> everywhere. */
#pragma once

#define LFS_NO_MALLOC
#define LFS_NO_ASSERT
#define LFS_NO_DEBUG
#define LFS_NO_WARN
#define LFS_NO_ERROR
#include <lfs.h>
