# SPDX-License-Identifier: Apache-2.0
"""Output of modules as text: what a terminal would do to it is not done.

Bytes that are no UTF-8 and control characters are shown as what they are; the browser gets text nodes, never HTML.
Records of the trace (stream 3) are shown as the calls that they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet.models import LogRecord

__all__ = ["lines", "readable", "text_of"]

TRACE_STREAM = 3
MAX_LINE = 4096
"""Characters; a longer line is shown as several."""


def readable(text: str) -> str:
    r"""Give text with `\x1b` and the like in place of control characters."""
    return "".join(char if char.isprintable() or char == "\t" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def text_of(data: bytes, stream: int, slot: int) -> str:
    """Give a record's bytes as text."""
    if stream == TRACE_STREAM:
        return _traced(data, slot)
    return readable(data.decode("utf-8", "backslashreplace"))


def _traced(data: bytes, slot: int) -> str:
    try:
        from sel4_bridge.trace import TraceError, parse  # noqa: PLC0415 - a server may run without the device's side
    except ImportError:
        return readable(data.decode("utf-8", "backslashreplace"))
    try:
        return readable(parse(data).text(slot))
    except TraceError:
        return readable(data.decode("utf-8", "backslashreplace"))


def lines(records: Iterable[LogRecord]) -> list[dict[str, Any]]:
    """Give records as lines: pieces of a line of the same slot and stream are put together."""
    done: list[dict[str, Any]] = []
    begun: dict[tuple[int, int], dict[str, Any]] = {}
    for record in records:
        key = (record.slot, record.stream)
        text = text_of(record.data, record.stream, record.slot)
        row = begun.pop(key, None)
        if row is None or len(row["text"]) + len(text) > MAX_LINE:
            row = {"at_ms": record.at_ms, "slot": record.slot, "stream": record.stream, "text": ""}
            done.append(row)
        row["text"] += text
        if not record.line:
            begun[key] = row
    return done
