# SPDX-License-Identifier: Apache-2.0
"""Unix sockets in folders of any depth: sockaddr_un holds 108 bytes (unix(7)), a state folder's path may be longer."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["short_path"]


@contextlib.contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Give a short name of a socket, good for bind and connect in this process until the block ends."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
