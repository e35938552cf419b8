# SPDX-License-Identifier: Apache-2.0
"""The command `wasel run`: one module to its end, by a runner of the entry-point group `wasel.runners`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.commands.options import Env, Fuel, Grants, Module, load_place, parse_env, parse_grants, read_module
from agent.errors import UsageError
from agent.run_request import RunRequest

__all__ = ["run"]

LEAST_ARENA = 64 << 10  # bytes, as in a manifest
UNITS = {"": 1, "k": 1 << 10, "kib": 1 << 10, "m": 1 << 20, "mib": 1 << 20}


def parse_size(text: str) -> int:
    """Read bytes written as 65536, 64k, 64KiB, 8M or 8MiB."""
    digits = text.rstrip("kKmMiIbB")
    unit = UNITS.get(text[len(digits) :].lower())
    if unit is None or not digits.isdecimal() or int(digits) == 0:
        raise UsageError(f"--arena {text}: write bytes as 65536, 64KiB or 8MiB")
    if int(digits) * unit < LEAST_ARENA:
        raise UsageError(
            f"--arena {text}: {LEAST_ARENA // 1024}KiB at least; 'wasel inspect' shows what a module needs"
        )
    return int(digits) * unit


def parse_dir(text: str) -> tuple[Path, str]:
    """Split HOST[:GUEST]."""
    host, _, guest = text.partition(":")
    if not host:
        raise UsageError(f"--dir {text}: names no directory; write HOST or HOST:GUEST, as in --dir data:/data")
    if not Path(host).is_dir():
        raise UsageError(f"--dir {text}: {host} is no directory; write HOST or HOST:GUEST, as in --dir data:/data")
    return Path(host), guest or host


def run(
    file: Module,
    args: Annotated[list[str] | None, typer.Argument(metavar="[ARGS]...", help="The module's arguments.")] = None,
    on: Annotated[str, typer.Option("--on", help="Where: host, sim, qemu, sel4.")] = "host",
    arg: Annotated[list[str] | None, typer.Option("--arg", help="Argument of the module, before ARGS.")] = None,
    env: Env = None,
    directory: Annotated[
        list[str] | None, typer.Option("--dir", metavar="HOST[:GUEST]", help="Directory the module may open.")
    ] = None,
    grant: Grants = None,
    arena: Annotated[str | None, typer.Option("--arena", metavar="SIZE", help="Arena: bytes, 64KiB, 8MiB.")] = None,
    fuel: Fuel = None,
    native: Annotated[bool, typer.Option("--native", help="Compile it first, and run native code.")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0.001, help="Seconds it may take.")
    ] = None,
    time: Annotated[str | None, typer.Option("--time", help="Simulator: real or virtual time.")] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Simulator: of randomness and scheduling.")] = None,
    record: Annotated[
        Path | None, typer.Option("--record", metavar="FILE", help="Simulator: record the run in FILE.")
    ] = None,
    replay: Annotated[
        Path | None, typer.Option("--replay", metavar="FILE", help="Simulator: run again what FILE recorded.")
    ] = None,
) -> None:
    """Run a module to its end; the exit code is the module's own."""
    read_module(file)
    request = RunRequest(
        module=file,
        args=(*(arg or []), *(args or [])),
        env=parse_env(env),
        dirs=tuple(map(parse_dir, directory or [])),
        grants=parse_grants(grant),
        arena_size=parse_size(arena) if arena is not None else None,
        fuel=fuel,
        native=native,
        timeout_s=timeout,
        time=time,
        seed=seed,
        record=record,
        replay=replay,
    )
    runner = load_place("wasel.runners", on)
    raise typer.Exit(runner(request))
