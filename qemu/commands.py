# SPDX-License-Identifier: Apache-2.0
"""`wasel device up | down | list`: devices under QEMU (entry point group `wasel.commands`).

Contract: results on stdout, one line a device or JSON; errors are `agent.errors.WaselError`, which the command line
turns into one line on stderr and an exit code. Every line about a device says which kernel it runs.
Does NOT: start or stop anything itself (launcher.py).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Annotated

import typer

from agent.errors import UsageError
from qemu.boards import BOARDS, DEFAULT_BOARD
from qemu.errors import DeviceStateError
from qemu.launcher import READY_TIMEOUT_S, Device, attach, start_device
from qemu.records import Record, all_records, forget, lock_device, read_record

__all__ = ["device"]

device = typer.Typer(no_args_is_help=True, help="Devices under QEMU: start, stop, list.")

_KERNELS = ", ".join(dict.fromkeys(kernel.name for board in BOARDS for kernel in board.kernels))
_BOARDS = ", ".join(board.name for board in BOARDS)


def _state(record: Record) -> str:
    if not record.alive:
        return "ended"
    return "booting" if record.ready_ms is None else "up"


def _describe(record: Record) -> dict[str, object]:
    return {**dataclasses.asdict(record), "state": _state(record)}


@device.command()
def up(
    name: Annotated[str, typer.Argument(help="Name of the new device.")],
    kernel: Annotated[str | None, typer.Option(help=f"Kernel: {_KERNELS} (default: the board's first).")] = None,
    board: Annotated[str, typer.Option(help=f"Board: {_BOARDS}.")] = DEFAULT_BOARD,
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds until it has to be ready.")] = READY_TIMEOUT_S,
) -> None:
    """Start a device and wait until it answers; builds its image first where needed."""
    record = asyncio.run(start_device(name, kernel=kernel, board=board, timeout_s=timeout_s)).record
    print(f"{record.name}: up on {record.kernel_title}, ready after {record.ready_ms:.0f} ms, port {record.port}")


@device.command()
def down(
    name: Annotated[str | None, typer.Argument(help="Name of the device.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Stop every device.")] = False,
) -> None:
    """Stop a device, or all of them."""
    if (name is None) is not every:
        raise UsageError("which device? give its name, or --all for every one")
    names = [record.name for record in all_records()] if name is None else [name]
    for each in names:
        asyncio.run(_stop(each))


async def _stop(name: str) -> None:
    try:
        found = attach(name)
    except DeviceStateError:
        with lock_device(name) as folder:
            stale = read_record(folder)
            forget(folder)
        if stale is None:
            raise
        print(f"{name}: had ended already")
        return
    with lock_device(name) as folder:
        await Device(found.record, folder).quit()
    print(f"{name}: down")


@device.command("list")
def list_devices(as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False) -> None:
    """Show every device that was started and not taken down."""
    records = all_records()
    if as_json:
        print(json.dumps([_describe(record) for record in records], indent=1))
        return
    if not records:
        print("no devices; start one with: wasel device up NAME")
    for record in records:
        ready = "" if record.ready_ms is None else f", ready after {record.ready_ms:.0f} ms"
        print(f"{record.name}: {_state(record)}, {record.kernel_title}, board {record.board}, {record.port}{ready}")
