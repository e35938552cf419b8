# SPDX-License-Identifier: Apache-2.0
"""Output of modules as text: what a terminal would do to it is not done.

Control characters are shown as what they are; the browser gets text nodes, never HTML.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fleet.output import TRACE_STREAM, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.models import LogRecord

__all__ = ["lines", "readable"]

MAX_LINE = 4096
"""Characters; a longer line is shown as several."""


def readable(text: str) -> str:
    r"""Give text with `\x1b` and the like in place of control characters."""
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def lines(records: Iterable[LogRecord]) -> list[dict[str, Any]]:
    """Give records as lines: pieces of a line of the same slot and stream are put together."""
    done: list[dict[str, Any]] = []
    begun: dict[tuple[int, int], dict[str, Any]] = {}
    for record in records:
        key = (record.slot, record.stream)
        text = readable(text_of(record.data, record.stream, record.slot))
        row = begun.pop(key, None)
        if row is None or len(row["text"]) + len(text) > MAX_LINE:
            row = {"at_ms": record.at_ms, "slot": record.slot, "stream": record.stream, "text": ""}
            done.append(row)
        row["text"] += text
        if not record.line and record.stream != TRACE_STREAM:  # each call is a line
            begun[key] = row
    return done
