/* SPDX-License-Identifier: Apache-2.0 */
/* littlefs itself, fetched by littlefs.py; its folder is a system folder to the compiler, which keeps its warnings. */
#include "lfs_port.h"

/* NOLINTBEGIN(bugprone-suspicious-include) */
#include <lfs_util.c>

#include <lfs.c>
/* NOLINTEND(bugprone-suspicious-include) */
