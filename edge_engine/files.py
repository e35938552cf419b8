# SPDX-License-Identifier: Apache-2.0
"""Files that a build writes: old or new, and untouched where nothing changed, so that nothing is rebuilt for them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_if_changed"]


def write_if_changed(path: Path, content: bytes | str) -> None:
    """Write a file, its folder too if that is missing; text as UTF-8. OSError where that fails."""
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)
