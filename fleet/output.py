# SPDX-License-Identifier: Apache-2.0
"""Records of a slot's output as text: what modules print, and the trace of their WASI calls as the calls that they are.

Bytes that are no UTF-8 become backslash escapes; nothing is lost. Who shows the text to people makes it printable.
"""

from __future__ import annotations

__all__ = ["TRACE_STREAM", "text_of"]

TRACE_STREAM = 3


def text_of(data: bytes, stream: int, slot: int) -> str:
    """Give a record's bytes as text."""
    if stream == TRACE_STREAM:
        try:
            from sel4_bridge.trace import TraceError, parse  # noqa: PLC0415 - a server may run without the device's side
        except ImportError:
            return data.hex()
        try:
            return parse(data).text(slot)
        except TraceError:
            return data.hex()
    return data.decode("utf-8", "backslashreplace")
