# SPDX-License-Identifier: Apache-2.0
"""Fetch C sources out of a source package on PyPI, pinned by version and digest.

Contract: what is used has the digest that is pinned; it lies below the build folder and nowhere else, and is fetched
once. pip fetches it, from wherever it is set up to get packages; an archive laid beside the folder is taken instead.

Errors::

    SdistError      the package can't be fetched, isn't the one pinned, or lacks a file
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edge_engine.paths import BUILD

__all__ = ["Sdist", "SdistError"]

FETCH_TIMEOUT_S = 300.0


class SdistError(Exception):
    """The sources could not be had; the text says why."""


@dataclass(frozen=True)
class Sdist:
    """A source package, and which of its files are wanted."""

    project: str  # on PyPI
    version: str
    sha256: str
    files: tuple[str, ...]
    subfolder: str  # of the archive's one folder, where they lie

    @property
    def stem(self) -> str:
        """Name of the archive without its suffix (PEP 625), and of its one folder."""
        return f"{self.project.replace('-', '_')}-{self.version}"

    @property
    def folder(self) -> Path:
        """Where the files are after `fetch`."""
        return BUILD / self.project / self.version

    def fetch(self) -> Path:
        """Return the folder with the files, fetched first if need be."""
        target = self.folder
        if all((target / name).is_file() for name in self.files):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as name:
            folder = Path(name)
            kept = target.parent / f"{self.stem}.tar.gz"
            files = folder / "files"
            files.mkdir()
            self._unpack(kept if kept.is_file() else self._download(folder), files)
            shutil.rmtree(target, ignore_errors=True)
            os.replace(files, target)  # noqa: PTH105
        return target

    def _download(self, folder: Path) -> Path:
        command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", self.project, "-d", str(folder), f"{self.project}=={self.version}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise SdistError(f"{self.project} {self.version}: {failure}") from failure
        archive = folder / f"{self.stem}.tar.gz"
        if done.returncode != 0 or not archive.is_file():
            raise SdistError(
                f"pip could not fetch the source of {self.project} {self.version}:\n{done.stderr.rstrip()}"
            )
        return archive

    def _unpack(self, archive: Path, out: Path) -> None:
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise SdistError(f"{archive.name} has SHA-256 {digest}, pinned is {self.sha256}")
        with tarfile.open(archive) as tar:
            for file in self.files:
                try:
                    member = tar.extractfile(f"{self.stem}/{self.subfolder}/{file}")
                except KeyError:
                    member = None
                if member is None:
                    raise SdistError(f"{archive.name} has no {self.subfolder}/{file}")
                (out / file).write_bytes(member.read())
