# SPDX-License-Identifier: Apache-2.0
"""The command `wasel watch`: at every save build, push, run and show the output, until Ctrl-C.

It runs on a device of its own (--on sim, qemu, sel4; entry-point group `wasel.devices`) or on one that is there
(--device, --port). The module's stdout and stderr are ours; what wasel itself says goes to stderr.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import DeviceName, PortUrl, Slot, load_place, open_device
from agent.commands.project import Folder
from agent.errors import UsageError, WaselError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent.link.device import Device
    from agent.project import Project

__all__ = ["watch", "watch_folder"]

SLOWEST_POLL_S = 0.05


def watch(
    folder: Folder = Path(),
    on: Annotated[str | None, typer.Option("--on", help="A device of its own: sim (default), qemu, sel4.")] = None,
    device: DeviceName = None,
    port: PortUrl = None,
    slot: Slot = 0,
) -> None:
    """Build, push and run a project at every save."""
    if on is not None and (device is not None or port is not None):
        raise UsageError("--on makes a device of its own; leave it out to use --device or --port")
    watch_folder(folder, on=on, device=device, port=port, slot=slot)


def watch_folder(
    folder: Path, *, on: str | None = None, device: str | None = None, port: str | None = None, slot: int = 0
) -> None:
    """Watch the project in a folder until Ctrl-C."""
    from agent.project import load_project

    project = load_project(folder)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_watch(project, on, device, port, slot))


def say(text: str) -> None:
    """Say something about the loop itself."""
    print(f"-- {text}", file=sys.stderr, flush=True)


@contextlib.asynccontextmanager
async def _opened(on: str | None, device: str | None, port: str | None) -> AsyncIterator[Device]:
    """Open the device that the options name, or start one."""
    from agent.link.device import Device as Link

    if device is not None or port is not None:
        async with open_device(device, port) as link:
            yield link
        return
    on = on or "sim"
    start = load_place("wasel.devices", on)
    async with start() as url, Link(url, name=on) as link:
        yield link


async def _watch(project: Project, on: str | None, device: str | None, port: str | None, slot: int) -> None:
    from agent.snapshot import changed, take_snapshot

    async with _opened(on, device, port) as link:
        say(f"watching {', '.join(source.name for source in project.sources)}; {link.name} slot {slot}; Ctrl-C ends it")
        seen, saved_s = take_snapshot(project.sources), time.monotonic()
        sent: dict[bytes, bytes] = {}
        while True:
            output = asyncio.create_task(_round(link, project, slot, saved_s, sent))
            try:
                seen, saved_s = await changed(project.sources, seen), time.monotonic()
            finally:
                output.cancel()
                await asyncio.gather(output, return_exceptions=True)


async def _round(link: Device, project: Project, slot: int, saved_s: float, sent: dict[bytes, bytes]) -> None:
    """Build, push and run once, whole; then copy output until cancelled. Says what went wrong instead of raising it."""
    start = asyncio.create_task(_start(link, project, slot, saved_s, sent))
    try:
        await asyncio.shield(start)
    except asyncio.CancelledError:
        await asyncio.gather(start, return_exceptions=True)  # two builds or pushes at a time would spoil each other
        raise
    except WaselError as error:
        say(str(error))
        return
    cursor, shown = start.result()
    await _show(link, project.file.name, slot, cursor, shown)


@dataclass(frozen=True)
class _Times:
    """Seconds of the monotonic clock."""

    saved_s: float
    built_s: float


async def _start(
    link: Device, project: Project, slot: int, saved_s: float, sent: dict[bytes, bytes]
) -> tuple[int, _Times]:
    """Build, push and start; gives where the log goes on and the times.

    `sent` is the last module by its digest: what a save changes is little, and no more of it goes over the line.
    """
    from agent.arena import check_fits
    from agent.build import build_project

    file = await asyncio.to_thread(build_project, project)
    times = _Times(saved_s, time.monotonic())
    module = file.read_bytes()
    if (await link.slot(slot)).state == "running":
        await link.stop(slot)
    await asyncio.to_thread(check_fits, file.name, module, link.name, (await link.status()).arena, metered=False)
    digest = hashlib.sha256(module).digest()
    if await link.candidate(slot) != digest:
        await link.upload(slot, module, base=sent.get)
    await link.set_pending(digest)
    sent.clear()
    sent[digest] = module
    cursor = (await link.slot(slot)).log_next
    await link.start(slot, (file.name, *project.args), project.env, lossless=True)
    return cursor, times


async def _show(link: Device, name: str, slot: int, cursor: int, times: _Times) -> None:
    """Copy the output until the module ends, and say when it began and how it ended."""
    from agent.commands.logs import write_record
    from agent.follow import follow, outcome

    waiting = True

    def show(record: tuple[int, int, bool, bytes]) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            whole_ms, build_ms = (1000 * (end - times.saved_s) for end in (time.monotonic(), times.built_s))
            say(f"{name}: first output {whole_ms:.0f} ms after the save, {build_ms:.0f} ms of them building")
        write_record(slot, record, json=False)

    try:
        status = await follow(link, slot, cursor, show, slowest_s=SLOWEST_POLL_S)
        say(f"{name}: exit code {outcome(status, name)}; waiting for the next save")
    except WaselError as error:
        say(str(error))
