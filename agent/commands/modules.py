# SPDX-License-Identifier: Apache-2.0
"""Commands for the modules of one device over its link: flash, start, stop, ps, stats."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import (
    Args,
    DeviceName,
    Env,
    Fuel,
    Grants,
    Json,
    Module,
    NoNative,
    PortUrl,
    Slot,
    open_device,
    parse_env,
    parse_grants,
    print_json,
    read_module,
)
from agent.errors import EXIT_OK

if TYPE_CHECKING:
    from agent.files import ModuleCache
    from agent.link.device import Device
    from agent.link.modules import Limits, SlotStatus

__all__ = ["confirm", "flash", "ps", "rollback", "start", "stats", "stop"]

Budget = Annotated[
    int | None, typer.Option("--budget", min=1, max=100, metavar="PERCENT", help="CPU time at most, in percent.")
]
Timeout = Annotated[
    float | None, typer.Option("--timeout", min=0.001, metavar="S", help="Stop it after so many seconds of wall clock.")
]
Restart = Annotated[
    str,
    typer.Option("--restart", metavar="WHEN", help="never, or on-failure: after a trap, an exit code or the timeout."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait", "-w", help="Print its output until it ends; the exit code is then the module's own."),
]
Lossless = Annotated[bool, typer.Option("--lossless", help="Output waits for its reader instead of being dropped.")]


def flash(
    file: Module,
    device: DeviceName = None,
    port: PortUrl = None,
    slot: Slot = 0,
    start: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    test: Annotated[bool, typer.Option("--test", help="For one start, until it is confirmed.")] = False,
    arg: Args = None,
    env: Env = None,
    grant: Grants = None,
    fuel: Fuel = None,
    lossless: Lossless = False,
    budget: Budget = None,
    timeout: Timeout = None,
    restart: Restart = "never",
    wait: Wait = False,
    no_native: NoNative = False,
) -> None:
    """Upload a module to a slot; the next start runs it."""
    given, variables = read_module(file), parse_env(env)
    if not start:
        _refuse_unused({"--arg": arg, "--env": env, "--grant": grant, "--wait": wait})
    limits, grants = _limits(budget, timeout, restart), parse_grants(grant)
    link = open_device(device, port, gives_way=wait)

    async def work() -> int:
        from agent.arena import check_fits
        from agent.files import ModuleCache
        from agent.native import with_native_code
        from agent.progress import Progress, Steps
        from agent.registry import state_root
        from agent.signing import has_probe

        async with link:
            status = await link.status()
            machine = "" if no_native else status.native
            with Steps(f"{file.name}: compiling for {machine}") as steps:
                data = await asyncio.to_thread(
                    with_native_code, file.name, given, machine, steps.update, fuel=fuel is not None
                )
            digest = hashlib.sha256(data).digest()
            if await link.candidate(slot) != digest:
                arena = status.arena
                await asyncio.to_thread(check_fits, file.name, data, link.name, arena, metered=fuel is not None)
                with Progress(f"{file.name} -> {link.name} slot {slot}", len(data)) as progress:
                    cache = ModuleCache(state_root() / "modules")
                    await link.upload(slot, data, progress.update, base=cache.read)
                await asyncio.to_thread(_remember, cache, digest, data)
            await link.set_pending(digest, confirm=not (test or has_probe(data)))
            print(f"{file.name}: {len(data)} bytes in slot {slot} of {link.name}, sha256 {digest.hex()[:16]}")
            if start:
                args = (file.name, *(arg or []))
                started = _Start(args, variables, grants, fuel=fuel, lossless=lossless, limits=limits, wait=wait)
                return await _start(link, slot, started)
            return EXIT_OK

    _exit(asyncio.run(work()))


def _refuse_unused(options: dict[str, list[str] | bool | None]) -> None:
    """Refuse what would be forgotten: it belongs to a start."""
    from agent.errors import UsageError

    for name, value in options.items():
        if value:
            raise UsageError(f"{name}: belongs to a start: add --start, or give it to 'wasel start'")


def _remember(cache: ModuleCache, digest: bytes, data: bytes) -> None:
    """Keep what was flashed: of its next version only what changed need go over the line."""
    if not cache.has(digest):
        cache.put(digest, data)
    cache.evict({digest})


def start(
    device: DeviceName = None,
    port: PortUrl = None,
    slot: Slot = 0,
    name: Annotated[str, typer.Option("--name", help="The program's name, its argument 0.")] = "module",
    arg: Args = None,
    env: Env = None,
    grant: Grants = None,
    fuel: Fuel = None,
    lossless: Lossless = False,
    budget: Budget = None,
    timeout: Timeout = None,
    restart: Restart = "never",
    wait: Wait = False,
) -> None:
    """Start the module of a slot (the flashed one if there is a new one)."""
    variables = parse_env(env)
    limits, grants = _limits(budget, timeout, restart), parse_grants(grant)
    link = open_device(device, port, gives_way=wait)

    async def work() -> int:
        async with link:
            args = (name, *(arg or []))
            started = _Start(args, variables, grants, fuel=fuel, lossless=lossless, limits=limits, wait=wait)
            return await _start(link, slot, started)

    _exit(asyncio.run(work()))


def _limits(budget: int | None, timeout_s: float | None, restart: str) -> Limits:
    from agent.errors import UsageError
    from agent.link.modules import Limits

    if restart not in ("never", "on-failure"):
        raise UsageError(f"--restart {restart}: write never or on-failure")
    return Limits(
        budget_percent=budget,
        timeout_ms=None if timeout_s is None else max(1, round(timeout_s * 1000)),
        restart="on-failure" if restart == "on-failure" else None,
    )


@dataclass(frozen=True)
class _Start:
    """What a start was asked for."""

    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    grants: tuple[str, ...]
    fuel: int | None
    lossless: bool
    limits: Limits
    wait: bool
    """Until the module ends, copying its output."""


async def _start(link: Device, slot: int, asked: _Start) -> int:
    """Start a slot, say what became of it, and give the exit code."""
    from agent.commands.logs import write_record
    from agent.errors import RefusedError
    from agent.follow import describe, follow, outcome, settle

    before = (await link.slot(slot)).log_next
    await link.start(
        slot,
        asked.args,
        asked.env,
        fuel=asked.fuel,
        lossless=asked.lossless or asked.wait,
        grants=asked.grants,
        limits=asked.limits,
    )
    if asked.wait:
        final = await follow(link, slot, before, lambda record: write_record(slot, record, json=False))
        return outcome(final, asked.args[0])
    status = await settle(link, slot, before)
    if status.state == "refused":
        raise RefusedError(f"{link.name}: slot {slot} refused its module: {describe(status)}")
    print(f"slot {slot} of {link.name}: {' '.join(filter(None, (status.state, describe(status))))}")
    return EXIT_OK


def _exit(code: int) -> None:
    """End the command with a module's exit code."""
    if code:
        raise typer.Exit(code)


def confirm(device: DeviceName = None, port: PortUrl = None, slot: Slot = 0) -> None:
    """Keep the module that a slot runs for a test."""
    link = open_device(device, port)

    async def work() -> None:
        from agent.errors import UsageError

        async with link:
            digest = (await link.slot(slot)).digest
            if digest is None:
                raise UsageError(f"{link.name}: slot {slot} has no module to confirm")
            await link.set_pending(digest)
            print(f"slot {slot} of {link.name}: sha256 {digest.hex()[:16]} is confirmed")

    asyncio.run(work())


def rollback(device: DeviceName = None, port: PortUrl = None, slot: Slot = 0) -> None:
    """Go back to the confirmed former module of a slot and start it as the present one was."""
    link = open_device(device, port)

    async def work() -> None:
        async with link:
            await link.rollback(slot)
            status = await link.slot(slot)
            digest = status.digest.hex()[:16] if status.digest else "-"
            print(f"slot {slot} of {link.name}: {status.state}, sha256 {digest}")

    asyncio.run(work())


def stop(device: DeviceName = None, port: PortUrl = None, slot: Slot = 0) -> None:
    """Stop the module of a slot."""
    link = open_device(device, port)

    async def work() -> None:
        async with link:
            await link.stop(slot)
            print(f"slot {slot} of {link.name}: {(await link.slot(slot)).state}")

    asyncio.run(work())


def ps(device: DeviceName = None, port: PortUrl = None, json: Json = False) -> None:
    """Show the slots of a device and what became of their modules."""
    link = open_device(device, port)

    async def work() -> None:
        async with link:
            status = await link.status()
        if json:
            fields = status.model_dump(exclude={"header", "version", "sequence", "smp_data", "device_version"})
            print_json({"device": link.name, "version": status.device_version, **fields})
            return
        from agent.text import kernel_title, printable, table

        image = "development image: runs unsigned modules, too" if status.image == "development" else "release image"
        print(
            f"{link.name}: wasel {printable(status.device_version)} on {kernel_title(status.kernel)}, "
            f"{printable(status.board)}, ready after {status.boot_ms} ms, randomness {printable(status.random)}"
            f"{', ' + image if status.image else ''}"
        )
        print(
            table(
                ("SLOT", "STATE", "DIGEST", "SIZE", "STARTS", "MEMORY", "CLASS", "CPU", "TIER", "DETAIL"),
                [*map(_row, status.slots)],
            )
        )

    asyncio.run(work())


def _row(slot: SlotStatus) -> tuple[str, ...]:
    from agent.follow import describe
    from agent.text import printable, size

    return (
        str(slot.slot),
        slot.state,
        slot.digest.hex()[:12] if slot.digest else "-",
        size(slot.size) if slot.digest else "-",
        str(slot.starts),
        size(slot.memory) if slot.memory else "-",
        printable(slot.slot_class) or "-",
        f"{slot.budget}%",
        slot.tier or "-",
        "; ".join(filter(None, (_trial(slot), describe(slot), _tier(slot), _signer(slot)))),
    )


def _tier(slot: SlotStatus) -> str:
    """Say why a module with native code is interpreted."""
    from agent.text import printable

    return f"interpreted: {printable(slot.tier_note)}" if slot.tier_note else ""


def _trial(slot: SlotStatus) -> str:
    """Say whether the module may stay, or why the one before it did not."""
    from agent.text import printable

    if slot.probe_ms is not None:
        return f"on trial, its health probe has {slot.probe_ms / 1000:.0f} s left"
    if slot.confirmed is False:
        return "on trial"
    if slot.reverted is not None:
        return f"went back from {slot.reverted.digest.hex()[:12]}: {printable(slot.reverted.reason)}"
    return ""


def _signer(slot: SlotStatus) -> str:
    """Say what a signed module is and whose key vouches for it."""
    from agent.text import printable

    if not slot.signed or slot.key is None:
        return ""
    return f"{printable(slot.name or '')} {printable(slot.version or '')}, signed by {slot.key.hex()[:16]}"


def stats(device: DeviceName = None, port: PortUrl = None, slot: Slot = 0, json: Json = False) -> None:
    """Show the counters of a slot."""
    link = open_device(device, port)

    async def work() -> dict[str, Any]:
        async with link:
            await link.slot(slot)
            return await link.stats(slot)

    counters = asyncio.run(work())
    if counters.get("run_us"):
        counters["cpu_percent"] = round(100 * counters.get("cpu_us", 0) / counters["run_us"], 1)
    if json:
        print_json({"slot": slot, **counters})
        return
    from agent.text import printable, table

    rows = [(printable(str(name)), printable(str(value))) for name, value in counters.items()]
    sys.stdout.write(table(("COUNTER", "VALUE"), rows) + "\n")
