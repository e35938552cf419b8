# SPDX-License-Identifier: Apache-2.0
"""Foreign archives, fetched by their own clients and kept under build/: npm packages and PyPI's source archives.

Contract: nothing of an archive is run (npm pack runs no scripts of the package; pip only asks a source archive for its
metadata). What was fetched once is not fetched again. Nothing of it goes into the repository.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

from bench import BenchError
from bench.kernels import BUILD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ARCHIVES", "npm_archive", "sdist_folder"]

ARCHIVES = BUILD / "archives"
FETCH_TIMEOUT_S = 180.0


def _run(command: list[str]) -> None:
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    try:
        subprocess.run(command, cwd=ARCHIVES, capture_output=True, text=True, check=True, timeout=FETCH_TIMEOUT_S)
    except FileNotFoundError as missing:
        raise BenchError(f"{command[0]} is not installed") from missing
    except subprocess.TimeoutExpired as late:
        raise BenchError(f"{' '.join(command)}: not finished after {FETCH_TIMEOUT_S:.0f} s") from late
    except subprocess.CalledProcessError as failed:
        raise BenchError(f"{' '.join(command)}: {failed.stderr.strip()}") from failed


def npm_archive(name: str, version: str) -> Path:
    """Path of an npm package's archive; BenchError if it can't be fetched."""
    archive = ARCHIVES / f"{name.replace('@', '').replace('/', '-')}-{version}.tgz"
    if not archive.exists():
        _run(["npm", "pack", "--silent", f"{name}@{version}"])
    return archive


def sdist_folder(name: str, version: str) -> Path:
    """Folder with an unpacked source archive; BenchError if it can't be fetched."""
    folder = ARCHIVES / f"{name}-{version}"
    if not folder.exists():
        archive = ARCHIVES / f"{name}-{version}.tar.gz"
        if not archive.exists():
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:"]
            _run([*pip, f"{name}=={version}"])
        with tarfile.open(archive) as tar:
            tar.extractall(ARCHIVES, filter="data")
    return folder
