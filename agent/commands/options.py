# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, and their parsing."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.errors import UsageError
from agent.module_file import ModuleFileError, check_header

if TYPE_CHECKING:
    from agent.link.device import Device

__all__ = [
    "Args",
    "BrokerUrl",
    "DeviceName",
    "Env",
    "Fuel",
    "Grants",
    "Json",
    "Module",
    "PortUrl",
    "Slot",
    "broker_url",
    "load_place",
    "open_device",
    "parse_env",
    "parse_grants",
    "print_json",
    "read_module",
]

LOCAL_BROKER = "mqtt://127.0.0.1:1883"

DeviceName = Annotated[str | None, typer.Option("--device", "-d", metavar="NAME", help="Device by name.")]
PortUrl = Annotated[
    str | None, typer.Option("--port", "-p", metavar="URL", help="Port: /dev/ttyUSB0, socket://HOST:PORT, ...")
]
BrokerUrl = Annotated[
    str | None,
    typer.Option(
        "--broker", metavar="URL", help=f"MQTT broker: mqtt://HOST:PORT, mqtts://...; default {LOCAL_BROKER}."
    ),
]
Slot = Annotated[int, typer.Option("--slot", "-s", min=0, max=255, help="Slot of the module.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Args = Annotated[list[str] | None, typer.Option("--arg", metavar="ARG", help="Argument of the module; repeatable.")]
Env = Annotated[list[str] | None, typer.Option("--env", metavar="K=V", help="Environment variable; repeatable.")]
NoNative = Annotated[
    bool, typer.Option("--no-native", help="Leave native code out: interpret, unless the module has some.")
]
Fuel = Annotated[int | None, typer.Option("--fuel", min=1, help="Instructions before the module is stopped.")]
Grants = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        metavar="WORD",
        help="Right of an unsigned module: dir=/data, publish=room/#, connect=tcp:127.0.0.1:80, ...; repeatable.",
    ),
]
Module = Annotated[Path, typer.Argument(metavar="FILE", help="WebAssembly module.")]


def load_place(group: str, on: str) -> Any:
    """Give what `--on` names of a group of entry points; UsageError if there is none or its part is missing."""
    places = {entry.name: entry for entry in entry_points(group=group)}
    if on not in places:
        raise UsageError(f"--on {on}: not supported; there is: {', '.join(sorted(places)) or 'nothing'}")
    try:
        return places[on].load()
    except ImportError as error:
        raise UsageError(f"--on {on}: its part is not installed ({error})") from error


def parse_env(entries: list[str] | None) -> tuple[tuple[str, str], ...]:
    """Split K=V entries."""
    pairs = []
    for entry in entries or []:
        key, equals, value = entry.partition("=")
        if not equals or not key:
            raise UsageError(f"--env {entry}: write it as K=V")
        pairs.append((key, value))
    return tuple(pairs)


def parse_grants(words: list[str] | None) -> tuple[str, ...]:
    """Check the words of --grant as a manifest's policy is checked; a device would not know what a wrong one meant."""
    if not words:
        return ()
    from agent.manifest import ManifestError, Policy

    try:
        Policy.from_words(list(words))
    except ManifestError as error:
        reason = str(error).removeprefix("manifest: policy: ")
        raise UsageError(f"--grant: {reason}; write dir=/PATH, publish=TOPIC, ... as in docs/wasi-calls.md") from error
    return tuple(words)


def broker_url(option: str | None) -> str:
    """Tell which broker is meant: the option's, WASEL_BROKER's, the profile's, else the one on this machine."""
    from agent.profile import load_profile

    return option or load_profile().broker or LOCAL_BROKER


def read_module(path: Path) -> bytes:
    """Read a module's file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path}: cannot be read: {reason}; 'wasel build' makes a project's module") from error
    try:
        check_header(data)
    except ModuleFileError as error:
        raise ModuleFileError(f"{path}: {error}") from error
    return data


def open_device(device: str | None, port: str | None, *, gives_way: bool = False) -> Device:
    """Make the (unopened) device that --device and --port name; `gives_way`, to an agent that comes up for it."""
    from functools import partial

    from agent.link.device import Device
    from agent.registry import resolve, successor

    target = resolve(device, port)
    shares = gives_way and not target.through_agent
    return Device(target.port, name=target.name, successor=partial(successor, target) if shares else None)


def print_json(value: Any) -> None:
    """Print one JSON value on one line; bytes as hex."""
    import json

    print(json.dumps(value, default=lambda item: item.hex() if isinstance(item, bytes) else str(item)), flush=True)
