# SPDX-License-Identifier: Apache-2.0
"""Where wasel keeps its runtime files and how a device's name becomes a port.

`<state>/devices/<name>/device.json` is written by whoever starts the device (the QEMU launcher); this module only
reads it. `<state>` is `$WASEL_STATE`, else `$XDG_STATE_HOME/wasel`, else `~/.local/state/wasel`.
While an agent holds a device's port, its socket `agent.sock` beside device.json speaks the same framed SMP, and
commands go through it.
"""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import LinkError, UsageError
from agent.profile import load_profile, profile_path
from agent.unix_path import short_path

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Target",
    "check_name",
    "device_dir",
    "device_names",
    "lock_path",
    "resolve",
    "socket_path",
    "state_root",
    "successor",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True)
class Target:
    """A device that a command talks to."""

    name: str
    """The device's name, or the port itself where only a port was given."""
    port: str
    """Port URL for `agent.link.port.open_port`."""
    through_agent: bool = False
    """True if the port is an agent's control socket."""


def state_root() -> Path:
    """Folder of all runtime files."""
    if override := os.environ.get("WASEL_STATE"):
        return Path(override)
    if xdg := os.environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "wasel"
    return Path.home() / ".local" / "state" / "wasel"


def check_name(name: str) -> str:
    """Give back a device name that is safe as a folder and as an MQTT topic level, or raise `UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"device name {name!r} is not allowed: use letters, digits, '_', '-', '.', at most 64")
    return name


def device_dir(name: str, root: Path | None = None) -> Path:
    """Folder of one device's runtime files."""
    return (root or state_root()) / "devices" / check_name(name)


def device_names() -> list[str]:
    """Names of the devices that have a device.json or a running agent."""
    folder = state_root() / "devices"
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if (p / "device.json").is_file() or (p / "agent.sock").exists())


def socket_path(name: str, root: Path | None = None) -> Path:
    """Path of the control socket of the device's agent."""
    return device_dir(name, root) / "agent.sock"


def lock_path(name: str, root: Path | None = None) -> Path:
    """Path of the file that the device's agent holds locked; its text is the port that it holds."""
    return device_dir(name, root) / "agent.lock"


def successor(target: Target) -> str | None:
    """Give the control socket of an agent that has come up for a target since it was resolved, None without one."""
    names = (
        [target.name] if target.name != target.port else [name for name in device_names() if _held(name) == target.port]
    )
    for name in names:
        path = socket_path(name)
        if _listens(path):
            return str(path)
    return None


def _held(name: str) -> str:
    """Port that the device's agent holds, as it wrote it down."""
    try:
        return lock_path(name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def device_port(name: str) -> str:
    """Port of a device from its device.json."""
    path = device_dir(name) / "device.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(other for other in device_names() if other != name)
        others = f" (there is: {known})" if known else ""
        raise LinkError(
            f"device {name!r} is not there{others}: start it with 'wasel device up {name}', or give --port"
        ) from None
    except (OSError, ValueError) as error:
        raise LinkError(f"{path}: cannot be read: {error}") from error
    port = record.get("port") if isinstance(record, dict) else None
    if not isinstance(port, str) or not port:
        raise LinkError(f"{path}: has no port; stop the device and start it again")
    return port


def resolve(device: str | None, port: str | None, *, ports: Callable[[], list[str]] | None = None) -> Target:
    """Find the way to a device from --device and --port.

    With neither, what environment and profile say, else the one device that is up, else the one serial port (of those
    that `ports` lists) behind which a device answers.
    """
    if device is None and port is None:
        profile = load_profile()
        device, port = profile.device, profile.port
        if device is not None:
            return _profiled(device)
    if device is None and port is not None:
        return Target(port, port)
    if device is None:
        names = device_names()
        if not names:
            return _only_port(ports)
        if len(names) != 1:
            raise UsageError(f"which device? give --device NAME or --port URL (known devices: {', '.join(names)})")
        device = names[0]
    path = socket_path(device)
    if _listens(path):
        if port is not None:
            raise LinkError(f"device {device!r}: its agent holds the port; leave out --port to go through the agent")
        return Target(device, str(path), through_agent=True)
    return Target(device, port or device_port(device))


def _profiled(device: str) -> Target:
    """Find the device that environment or profile name; an error says that they do."""
    try:
        return resolve(device, None)
    except LinkError as error:
        named = "WASEL_DEVICE" if os.environ.get("WASEL_DEVICE") else profile_path()
        raise LinkError(f"{error} ({device!r} is what {named} names; correct it there)") from error


def _only_port(ports: Callable[[], list[str]] | None) -> Target:
    """Find the one serial port with a device behind it."""
    from agent.link.detect import answering_ports, serial_ports  # noqa: PLC0415 - only where nothing else is known

    candidates = (ports or serial_ports)()
    found = answering_ports(candidates)
    if len(found) == 1:
        return Target(found[0], found[0])
    if found:
        raise UsageError(f"which device? several answer, give --port: {', '.join(found)}")
    asked = f"none answers on {', '.join(candidates)}" if candidates else "there is no serial port here"
    raise UsageError(
        f"which device? no device is up and {asked}: "
        "start one with 'wasel device up NAME', or give --device NAME or --port URL"
    )


def _listens(path: Path) -> bool:
    """Tell whether somebody accepts connections on the socket (a killed agent leaves a dead file)."""
    if not path.exists():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            with short_path(path) as short:
                probe.connect(short)
        except OSError:
            return False
    return True
