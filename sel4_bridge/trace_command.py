# SPDX-License-Identifier: Apache-2.0
"""The command `wasel trace`: a running module's WASI calls, live, as the seL4 calls that they are.

A plug-in of the entry-point group `wasel.commands`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import DeviceName, Json, PortUrl, Slot, open_device, print_json
from agent.errors import BadAnswerError, UsageError
from agent.follow import follow
from agent.link.modules import TRACE_STREAM
from sel4_bridge.trace import TraceError, parse
from sel4_bridge.wasi_table import CALLS

if TYPE_CHECKING:
    from agent.link.device import Device

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def trace(
    device: DeviceName = None,
    port: PortUrl = None,
    slot: Slot = 0,
    call: Annotated[
        list[str] | None, typer.Option("--call", metavar="NAME", help="Only this call (fd_write, ...); repeatable.")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only calls that answered an error.")] = False,
    once: Annotated[bool, typer.Option("--until-exit", help="End when the module does.")] = False,
    json: Json = False,
) -> None:
    """Show each WASI call of a slot: label, message registers, arguments, result, time in the server."""
    unknown = set(call or []) - {row.name for row in CALLS}
    if unknown:
        raise UsageError(f"--call {min(unknown)}: no WASI call has that name")
    last: list[int] = []

    def show(record: tuple[int, int, bool, bytes]) -> None:
        _, stream, _, data = record
        if stream != TRACE_STREAM:
            return
        try:
            traced = parse(data)
        except TraceError as error:
            raise BadAnswerError(str(error)) from error
        if last and traced.number > last[0] + 1:
            print(f"({traced.number - last[0] - 1} calls were dropped: the log was full)", file=sys.stderr)
        last[:] = [traced.number]
        if (call and traced.name not in call) or (failed and traced.result in {"success", "pending"}):
            return
        if json:
            print_json(traced.as_json(slot))
        else:
            print(traced.text(slot), flush=True)

    async def work(link: Device) -> None:
        async with link:
            cursor = (await link.slot(slot)).log_next
            await link.trace(slot, on=True)
            try:
                await follow(link, slot, cursor, show, for_ever=not once)
            finally:
                await asyncio.shield(link.trace(slot, on=False))

    asyncio.run(work(open_device(device, port)))
