# SPDX-License-Identifier: Apache-2.0
"""Files that survive a kill at any moment: whole replacement, and a content-addressed cache with resumable parts.

Contract: after a crash a reader finds the old content or the new one, never a mixture; a cached module is whole and
has the digest of its name; a part is a correct prefix up to its length (it is only appended to, in order).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ModuleCache", "replace_file"]

KEEP = 4
"""Cached modules that nobody needs any more are kept up to this number."""
SYNC_SIZE = 256 * 1024
"""Bytes of a part between fsyncs."""


def replace_file(path: Path, data: bytes) -> None:
    """Write a file so that it is the old or the new one."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)  # noqa: PTH105 - the call that the contract rests on
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ModuleCache:
    """Modules by digest in one directory, with a single writer."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._unsynced = 0

    def _path(self, digest: bytes) -> Path:
        return self._directory / digest.hex()

    def _part(self, digest: bytes) -> Path:
        return self._directory / f"{digest.hex()}.part"

    def has(self, digest: bytes) -> bool:
        """Tell whether the whole module is here."""
        return self._path(digest).is_file()

    def read(self, digest: bytes) -> bytes | None:
        """Read a module; None (and the file is gone) if it is not here or the disk damaged it."""
        try:
            data = self._path(digest).read_bytes()
        except FileNotFoundError:
            return None
        if hashlib.sha256(data).digest() != digest:
            self._path(digest).unlink(missing_ok=True)
            return None
        os.utime(self._path(digest))
        return data

    def offset(self, digest: bytes, size: int) -> int:
        """Give the length of the part that is here; one that is too long is dropped."""
        part = self._part(digest)
        length = part.stat().st_size if part.is_file() else 0
        if length > size:
            part.unlink()
            return 0
        return length

    def append(self, digest: bytes, data: bytes) -> None:
        """Add the next bytes of a module."""
        with self._part(digest).open("ab") as file:
            file.write(data)
            self._unsynced += len(data)
            if self._unsynced >= SYNC_SIZE:
                file.flush()
                os.fsync(file.fileno())
                self._unsynced = 0

    def finish(self, digest: bytes) -> bool:
        """Turn the part into a module if its digest is right; otherwise drop it and say False."""
        part = self._part(digest)
        try:
            with part.open("rb") as file:
                good = hashlib.file_digest(file, "sha256").digest() == digest
                os.fsync(file.fileno())
        except FileNotFoundError:
            return False
        if not good:
            part.unlink()
            return False
        os.replace(part, self._path(digest))  # noqa: PTH105
        sync_directory(self._directory)
        return True

    def put(self, digest: bytes, data: bytes) -> None:
        """Add a whole module."""
        self._part(digest).write_bytes(data)
        if not self.finish(digest):
            raise ValueError("data and digest disagree")

    def evict(self, needed: set[bytes]) -> None:
        """Drop what is not needed, all but the newest few modules, and parts of other modules."""
        names = {digest.hex() for digest in needed}
        modules = []
        for path in self._directory.iterdir():
            if path.stem in names:
                continue
            if path.suffix:
                path.unlink(missing_ok=True)
            else:
                with contextlib.suppress(FileNotFoundError):
                    modules.append((path.stat().st_mtime, path))
        for _, path in sorted(modules, reverse=True)[KEEP:]:
            path.unlink(missing_ok=True)
