# SPDX-License-Identifier: Apache-2.0
"""Put directories of this machine into a module, as its custom section `wasel.files`.

The engine makes these files in the module's directories before it starts, by WASI calls, so they count against the
module's policy and lie in the slot's RAM: what the module changes is gone with the run. A module with files stays a
valid module; engines that don't know the section ignore it. The format is in sel4_bridge/engine/files.h.

Errors: FilesError for a tree that the format or a device can't hold; OSError.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from agent.binary import custom_section
from agent.errors import UsageError, WaselError
from edge_engine.aot.command import add_native_code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.run_request import RunRequest

__all__ = ["FIRST_PREOPEN", "SECTION", "FilesError", "grants", "read_module", "with_files"]

SECTION = "wasel.files"
FIRST_PREOPEN = 3  # descriptor of the first preopened directory
WASM_MAGIC = b"\0asm"
MAX_PATH = 0xFFFF  # bytes
DIRECTORY, FILE, SYMLINK = 3, 4, 7  # file types of WASI preview1


class FilesError(Exception):
    """A directory can't travel with a module; the text says why."""


def _entry(kind: int, descriptor: int, path: bytes, content: bytes) -> bytes:
    if len(path) > MAX_PATH:
        raise FilesError(f"{path[:60]!r}...: the path has {len(path)} bytes, at most {MAX_PATH} are possible")
    return struct.pack("<BBHI", kind, descriptor, len(path), len(content)) + path + content


def _entries(root: Path, descriptor: int) -> Iterator[bytes]:
    """Entries of everything below `root`, directories before what is in them, in the order of names."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = Path(folder) / name
            relative = os.fsencode(path.relative_to(root))
            if path.is_symlink():
                yield _entry(SYMLINK, descriptor, relative, os.fsencode(path.readlink()))
            elif path.is_dir():
                yield _entry(DIRECTORY, descriptor, relative, b"")
            elif path.is_file():
                yield _entry(FILE, descriptor, relative, path.read_bytes())
            else:
                raise FilesError(f"{path}: neither file, directory nor symbolic link")


def grants(request: RunRequest) -> tuple[str, ...]:
    """Return the grants of a run: what its directories need, then what was asked for."""
    return (*(f"dir={guest}" for _, guest in request.dirs), *request.grants)


def read_module(request: RunRequest, machine: str) -> bytes:
    """Return the module of a run with its directories' contents, and with native code for a machine if asked for.

    Raises:
        UsageError: a directory can't travel with the module, or its name in the guest has a "..".
        WaselError: the module can't be read, or not be compiled; RefusedError where it is invalid.

    """
    for _, guest in request.dirs:
        if ".." in guest.split("/"):
            raise UsageError(f"--dir: {guest!r} leads out of the guest's directories; write --dir HOST:GUEST")
    try:
        module = request.module.read_bytes()
    except OSError as error:
        raise WaselError(f"{request.module}: {error.strerror}") from error
    if module[:4] != WASM_MAGIC:
        return module  # what is no module, the engine refuses better
    if request.native:
        module = add_native_code(module, machine, fuel=request.fuel is not None)
    if not request.dirs:
        return module
    try:
        return with_files(module, [host for host, _ in request.dirs])
    except (FilesError, OSError) as error:
        raise UsageError(f"--dir: {error}") from error


def with_files(module: bytes, directories: Sequence[Path]) -> bytes:
    """Return the module with the contents of `directories`, for its preopened directories in that order.

    Raises:
        FilesError: something in them is no file, or its path is too long.
        OSError: one of them can't be read.

    """
    content = bytearray()
    for place, root in enumerate(directories):
        if not root.is_dir():
            raise FilesError(f"{root}: not a directory")
        for entry in _entries(root, FIRST_PREOPEN + place):
            content += entry
    return module + custom_section(SECTION, bytes(content))
