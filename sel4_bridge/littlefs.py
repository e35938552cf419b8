# SPDX-License-Identifier: Apache-2.0
"""littlefs, the file system of the store: its C files from the source package of PyPI's `littlefs-python`.

The reader for the host, the same project's wheel, is only a test dependency.
"""

from __future__ import annotations

from sel4_bridge.sdist import Sdist

__all__ = ["LITTLEFS", "LITTLEFS_FOLDER"]

LITTLEFS = Sdist(
    project="littlefs-python",
    version="0.19.0",
    sha256="4ce8c6eeeb2703abaf8cb60f2dab624b17af42b13df3dbc6c42d4142bad79a59",
    files=("lfs.c", "lfs.h", "lfs_util.c", "lfs_util.h", "LICENSE.md"),
    subfolder="littlefs",
)
LITTLEFS_FOLDER = LITTLEFS.folder
