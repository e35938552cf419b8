# SPDX-License-Identifier: Apache-2.0
"""Texts that come from a device or a module, made safe to print, and small tables.

A device's texts are data: control characters (terminal escapes among them) are shown as escapes, never sent on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["KERNEL_TITLES", "kernel_title", "printable", "size", "table"]

KERNEL_TITLES = {
    "stand-in": "stand-in kernel (a simulator, not seL4)",
    "sel4": "seL4",
    "simulator": "host simulator (not seL4)",
}
"""What a device reports as its kernel, as people shall read it."""
KIB = 1024
MIB = 1024 * 1024


def printable(text: str, *, keep: str = "") -> str:
    """Escape every character that is not printable, except those in `keep`."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def kernel_title(name: str) -> str:
    """Write a device's kernel for people."""
    return KERNEL_TITLES.get(name) or printable(name)


def size(count: int) -> str:
    """Write a number of bytes for people."""
    if count >= MIB:
        return f"{count / MIB:.1f} MiB"
    if count >= KIB:
        return f"{count / KIB:.1f} KiB"
    return f"{count} B"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns as wide as their widest cell; the last column is not padded."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
