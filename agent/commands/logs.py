# SPDX-License-Identifier: Apache-2.0
"""The command `wasel logs`: a module's output, from the device's history or as it comes, also from afar over MQTT.

Without --json stdout and stderr of the module become ours, byte for byte; with it each record is a JSON line.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated

import typer

from agent.commands.options import DeviceName, Json, PortUrl, Slot, open_device, print_json
from agent.errors import MessageError, UsageError
from agent.link.modules import TRACE_STREAM

__all__ = ["STREAMS", "logs", "write_record"]

STREAMS = ("system", "stdout", "stderr")


def write_record(slot: int, record: tuple[int, int, bool, bytes], *, json: bool) -> None:
    """Print one record."""
    seq, stream, ends_line, data = record
    if stream == TRACE_STREAM:
        return  # `wasel trace` shows them
    if json:
        name = STREAMS[stream] if stream < len(STREAMS) else str(stream)
        text = data.decode("utf-8", "backslashreplace")
        print_json({"slot": slot, "seq": seq, "stream": name, "text": text, "line": ends_line})
        return
    out = sys.stdout if stream == 1 else sys.stderr
    out.buffer.write(data + (b"\n" if ends_line else b""))
    out.flush()


def logs(
    device: DeviceName = None,
    port: PortUrl = None,
    slot: Slot = 0,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as output comes; end it with Ctrl-C.")] = False,
    cursor: Annotated[int, typer.Option("--from", min=0, help="First record by number.")] = 0,
    broker: Annotated[
        str | None, typer.Option("--broker", metavar="URL", help="Follow over MQTT what the device's agent publishes.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the output of a slot's module."""
    if broker is not None:
        if device is None or port is not None or cursor:
            raise UsageError(
                "--broker: give --device NAME, and neither --port nor --from: only new output comes over MQTT"
            )
        asyncio.run(_listen(broker, device, slot, json=json))
        return
    link = open_device(device, port, gives_way=follow)

    async def work() -> None:
        from agent.follow import copy_logs
        from agent.follow import follow as follow_slot

        async with link:
            await link.slot(slot)
            if follow:
                await follow_slot(
                    link, slot, cursor, lambda record: write_record(slot, record, json=json), for_ever=True
                )
            else:
                await copy_logs(link, slot, cursor, lambda record: write_record(slot, record, json=json))

    asyncio.run(work())


async def _listen(url: str, device: str, slot: int, *, json: bool) -> None:
    from agent.messages import LogLine
    from agent.mqtt import Broker
    from agent.topics import Topics

    topics = Topics(device)

    def message(_topic: str, body: bytes) -> None:
        try:
            record = LogLine.parse(body)
        except MessageError as error:
            print(f"wasel: {error}", file=sys.stderr)
            return
        if record.slot == slot:
            write_record(slot, (record.seq, record.stream, record.line, record.data), json=json)

    async with Broker(url, on_message=message) as broker:
        broker.subscribe(topics.log)
        await asyncio.Event().wait()  # until Ctrl-C
