# SPDX-License-Identifier: Apache-2.0
"""Foreign archives, fetched by their own clients and kept under build/: npm packages and PyPI's source archives.

Contract: nothing of an archive is run (npm pack runs no scripts of the package; pip only asks a source archive for its
metadata). Source archives are unpacked only if their SHA-256 is the one below; modules from npm are checked by the
corpus manifest. What was fetched once is not fetched again. Nothing of it goes into the repository.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

from bench import BenchError
from bench.kernels import BUILD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ARCHIVES", "npm_archive", "sdist_folder", "unpack"]

ARCHIVES = BUILD / "archives"
FETCH_TIMEOUT_S = 180.0
SDIST_SHA256 = {
    "brotli-1.2.1": "02b2f7b5a83485efe448a44ddf7983def05c3bb1dcf917d4f7154070260e13de",
    "pywasm3-0.5.0": "5a47c8a39f7f6ae71b3316b2e5d86c9d0db6e771a65f09a86e4d4aa3a19aefcc",
}


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
        unpack(archive, SDIST_SHA256[folder.name])
    return folder


def unpack(archive: Path, sha256: str) -> None:
    """Unpack an archive beside itself; BenchError, and nothing unpacked, if its digest is another."""
    if hashlib.sha256(archive.read_bytes()).hexdigest() != sha256:
        raise BenchError(f"{archive.name} is not the archive that was pinned: its SHA-256 differs")
    with tarfile.open(archive) as tar:
        tar.extractall(archive.parent)  # noqa: S202 - its digest was pinned by people who looked inside
