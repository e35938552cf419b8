# SPDX-License-Identifier: Apache-2.0
"""Fetch littlefs, the file system of the store: its C files from the source package of PyPI's `littlefs-python`.

Contract: what is built has the digest pinned here; it lies below `build/` and nowhere else, and is fetched once. The
reader for the host, the same project's wheel, is only a test dependency.

Errors::

    LittlefsError   the package can't be fetched, or isn't the one pinned
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from edge_engine.paths import BUILD

__all__ = ["LITTLEFS_FOLDER", "LittlefsError", "fetch_littlefs"]

VERSION = "0.19.0"  # of littlefs-python
SHA256 = "4ce8c6eeeb2703abaf8cb60f2dab624b17af42b13df3dbc6c42d4142bad79a59"
ARCHIVE = f"littlefs_python-{VERSION}.tar.gz"
FILES = ("lfs.c", "lfs.h", "lfs_util.c", "lfs_util.h", "LICENSE.md")
FETCH_TIMEOUT_S = 300.0

LITTLEFS_FOLDER = BUILD / "littlefs" / VERSION


class LittlefsError(Exception):
    """littlefs could not be fetched; the text says why."""


def _download(folder: Path) -> Path:
    """Let pip fetch the archive, from wherever it is set up to get packages."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-binary", "littlefs-python", "-d", str(folder), f"littlefs-python=={VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise LittlefsError(f"littlefs-python {VERSION}: {failure}") from failure
    archive = folder / ARCHIVE
    if done.returncode != 0 or not archive.is_file():
        raise LittlefsError(f"pip could not fetch the source of littlefs-python {VERSION}:\n{done.stderr.rstrip()}")
    return archive


def fetch_littlefs() -> Path:
    """Return the folder with littlefs' C files, fetched first if need be. LittlefsError."""
    if all((LITTLEFS_FOLDER / name).is_file() for name in FILES):
        return LITTLEFS_FOLDER
    LITTLEFS_FOLDER.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=LITTLEFS_FOLDER.parent) as name:
        folder = Path(name)
        kept = LITTLEFS_FOLDER.parent / ARCHIVE
        if kept.is_file():
            shutil.copy(kept, folder)
        archive = folder / ARCHIVE if kept.is_file() else _download(folder)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            raise LittlefsError(f"{ARCHIVE} has SHA-256 {digest}, pinned is {SHA256}")
        files = folder / "files"
        files.mkdir()
        with tarfile.open(archive) as tar:
            for file in FILES:
                member = tar.extractfile(f"littlefs_python-{VERSION}/littlefs/{file}")
                if member is None:
                    raise LittlefsError(f"{ARCHIVE} has no {file}")
                (files / file).write_bytes(member.read())
        shutil.rmtree(LITTLEFS_FOLDER, ignore_errors=True)
        os.replace(files, LITTLEFS_FOLDER)  # noqa: PTH105
    return LITTLEFS_FOLDER
