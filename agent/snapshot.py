# SPDX-License-Identifier: Apache-2.0
"""When did which source change: modification times and sizes of a project's files, by asking for them.

Asking works on every file system, shared and remote ones included, and a project has tens of files. Bounded: a project
with more than MAX_FILES is refused.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = ["MAX_FILES", "POLL_S", "changed", "take_snapshot"]

POLL_S = 0.05
MAX_FILES = 10_000

Snapshot = dict["Path", tuple[int, int]]


def _files(sources: Sequence[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from (path for path in source.rglob("*") if path.is_file())
        else:
            yield source


def take_snapshot(sources: Sequence[Path]) -> Snapshot:
    """Map each file to its modification time (ns) and size (bytes); a file that is missing is left out."""
    found: Snapshot = {}
    for path in _files(sources):
        try:
            status = path.stat()
        except OSError:
            continue  # an editor may be replacing it
        found[path] = (status.st_mtime_ns, status.st_size)
        if len(found) > MAX_FILES:
            raise UsageError(f"sources: more than {MAX_FILES} files; name less in wasel.toml")
    return found


async def changed(sources: Sequence[Path], before: Snapshot) -> Snapshot:
    """Wait until the files differ from `before`; gives the new snapshot."""
    while (now := take_snapshot(sources)) == before:  # noqa: ASYNC110 - nobody tells us
        await asyncio.sleep(POLL_S)
    return now
