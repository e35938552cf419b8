# SPDX-License-Identifier: Apache-2.0
"""What `wasel doctor` finds: facts of this machine, and what to do about what is missing.

Every part of wasel answers for itself: entry-point group `wasel.checks`, functions without arguments that return
`Check`s and raise nothing. `agent_checks` is this package's own.
"""

from __future__ import annotations

import os
import platform
import socket
import sys
from dataclasses import dataclass
from importlib.metadata import version
from urllib.parse import urlsplit

from agent.errors import WaselError
from agent.link.detect import serial_ports
from agent.profile import load_profile, profile_path
from agent.registry import device_names, state_root

__all__ = ["Check", "agent_checks"]

LEAST_PYTHON = (3, 11)
BROKER_TIMEOUT_S = 3.0
BROKER_PORT = 1883


@dataclass(frozen=True)
class Check:
    """One fact."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    """What to do if it is not ok."""
    needed: bool = False
    """Nothing works without it."""


def _state() -> Check:
    root = state_root()
    place = root
    while not place.exists() and place != place.parent:
        place = place.parent
    writable = os.access(place, os.W_OK)
    return Check("state folder", writable, str(root), "set WASEL_STATE to a folder that you may write", needed=True)


def _profile() -> Check:
    try:
        profile = load_profile()
    except WaselError as error:
        return Check("profile", ok=False, detail=str(error), fix=f"correct or remove {profile_path()}")
    said = [f"{name} {value}" for name, value in vars(profile).items() if value]
    return Check("profile", ok=True, detail=", ".join(said) or f"none ({profile_path()})")


def _ports() -> Check:
    ports = serial_ports()
    denied = [port for port in ports if not os.access(port, os.R_OK | os.W_OK)]
    fix = "add yourself to the group that owns them: sudo usermod -aG dialout $USER, then log in again"
    detail = f"{', '.join(ports) or 'none'}{'; not allowed: ' + ', '.join(denied) if denied else ''}"
    return Check("serial ports", not denied, detail, fix)


def _broker() -> list[Check]:
    """Look at the broker that is set, if one is; whether it takes our login shows when it is used."""
    try:
        url = load_profile().broker
    except WaselError:
        return []
    if url is None:
        return []
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or BROKER_PORT), timeout=BROKER_TIMEOUT_S):
            return [Check("broker", ok=True, detail=f"{url} takes connections")]
    except (OSError, ValueError) as error:
        return [Check("broker", False, f"{url}: {error}", "start it, or correct WASEL_BROKER or the profile")]


def agent_checks() -> list[Check]:
    """Facts of Python, files, ports and broker."""
    here = ".".join(map(str, sys.version_info[:3]))
    wanted = ".".join(map(str, LEAST_PYTHON))
    devices = device_names()
    return [
        Check("wasel", ok=True, detail=f"{version('wasel')} on {platform.system()} {platform.machine()}"),
        Check("Python", sys.version_info >= LEAST_PYTHON, here, f"install Python {wanted} or newer", needed=True),
        _state(),
        _profile(),
        Check("devices up", ok=True, detail=", ".join(devices) or "none; 'wasel device up NAME' starts one"),
        _ports(),
        *_broker(),
    ]
