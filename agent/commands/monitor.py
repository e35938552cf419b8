# SPDX-License-Identifier: Apache-2.0
"""The command `wasel monitor`: the output of all slots of a device as it comes, and what becomes of their modules.

Plain: a line each, `SLOT STREAM | text`. With --json: the same records as `wasel logs --json` prints, and
`{"slot", "state", "detail"}` where a slot's state changes.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.logs import STREAMS, write_record
from agent.commands.options import DeviceName, Json, PortUrl, open_device, print_json
from agent.link.modules import TRACE_STREAM

if TYPE_CHECKING:
    from agent.link.device import Device
    from agent.link.modules import SlotStatus

__all__ = ["LineBuffer", "monitor"]

MAX_LINE = 4096  # bytes held back for one slot and stream

Record = tuple[int, int, bool, bytes]


class LineBuffer:
    """Puts the records of one slot together to lines: a record may end in the middle of one."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}

    def take(self, record: Record) -> str | None:
        """Give the line that the record ends, without its end; None while it goes on."""
        _, stream, ends_line, data = record
        line = self._parts.pop(stream, b"") + data
        if ends_line or len(line) >= MAX_LINE:
            return line.decode("utf-8", "backslashreplace")
        self._parts[stream] = line
        return None


def monitor(
    device: DeviceName = None,
    port: PortUrl = None,
    history: Annotated[bool, typer.Option("--history", help="Begin with what the device still remembers.")] = False,
    json: Json = False,
) -> None:
    """Follow the output of every slot until Ctrl-C."""
    link = open_device(device, port, gives_way=True)

    async def work() -> None:
        async with link:
            await _follow_all(link, history=history, json=json)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work())


async def _follow_all(link: Device, *, history: bool, json: bool) -> None:
    from agent.follow import Pace, copy_logs

    buffers: dict[int, LineBuffer] = {}
    cursors: dict[int, int] = {}
    states: dict[int, tuple[str, str]] = {}
    pace = Pace()
    while True:
        for slot in (await link.status()).slots:
            number = slot.slot
            cursor = cursors.setdefault(number, 0 if history else slot.log_next)
            if slot.log_next < cursor:
                cursor = 0  # the device restarted
            if slot.log_next != cursor:
                buffer = buffers.setdefault(number, LineBuffer())
                cursors[number] = await copy_logs(link, number, cursor, partial(_show, number, buffer, json=json))
                pace.hit()
            _show_state(slot, states, json=json)
        await link.give_way()
        await asyncio.sleep(pace.wait_s())


def _show(slot: int, buffer: LineBuffer, record: Record, *, json: bool) -> None:
    stream = record[1]
    if json:
        write_record(slot, record, json=True)
        return
    line = None if stream == TRACE_STREAM else buffer.take(record)
    if line is not None:
        from agent.text import printable

        print(f"{slot} {STREAMS[stream] if stream < len(STREAMS) else stream} | {printable(line)}", flush=True)


def _show_state(slot: SlotStatus, states: dict[int, tuple[str, str]], *, json: bool) -> None:
    """Say what became of a slot since it was last looked at; nothing the first time."""
    from agent.follow import describe

    now = (slot.state, describe(slot))
    before = states.get(slot.slot)
    states[slot.slot] = now
    if before in (None, now):
        return
    if json:
        print_json({"slot": slot.slot, "state": now[0], "detail": now[1]})
    else:
        print(f"{slot.slot} state  | {': '.join(filter(None, now))}", flush=True)
