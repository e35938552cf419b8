# SPDX-License-Identifier: Apache-2.0
"""What a user usually means: device, port and broker where no option names them.

In this order: options, the environment (`WASEL_DEVICE`, `WASEL_PORT`, `WASEL_BROKER`), the profile file. That is
`$WASEL_PROFILE`, else `$XDG_CONFIG_HOME/wasel/profile.toml`, else `~/.config/wasel/profile.toml`; it need not exist::

    device = "lab"                     # or
    port = "/dev/ttyUSB0"
    broker = "mqtt://broker.example:1883"

Unknown keys are refused. Errors: ProfileError, naming file and key.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from agent.errors import UsageError

__all__ = ["Profile", "ProfileError", "load_profile", "parse_profile", "profile_path"]


EXAMPLES = {"device": "lab", "port": "/dev/ttyUSB0", "broker": "mqtt://broker.example:1883"}


class ProfileError(UsageError):
    """The profile file cannot be used."""


@dataclass(frozen=True)
class Profile:
    """Defaults; None where there is none."""

    device: str | None = None
    port: str | None = None
    broker: str | None = None


def profile_path() -> Path:
    """Where the profile file is, if there is one."""
    if named := os.environ.get("WASEL_PROFILE"):
        return Path(named)
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "wasel" / "profile.toml"


def parse_profile(text: str, name: str) -> Profile:
    """Check a profile file's text; `name` is for messages."""
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{name}: is not TOML: {error}") from error
    known = [field.name for field in fields(Profile)]
    for key, value in values.items():
        if key not in known:
            raise ProfileError(f"{name}: {key}: no such key; there is: {', '.join(known)}")
        if not isinstance(value, str) or not value:
            raise ProfileError(f'{name}: {key}: a text is needed, as in {key} = "{EXAMPLES[key]}"')
    if "device" in values and "port" in values:
        raise ProfileError(f"{name}: give device or port, not both")
    return Profile(**values)


def load_profile() -> Profile:
    """Read the profile file and let the environment go before it."""
    path = profile_path()
    try:
        stored = parse_profile(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        stored = Profile()
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"{path}: cannot be read: {error}") from error
    device, port = (os.environ.get(name) or None for name in ("WASEL_DEVICE", "WASEL_PORT"))
    if device is None and port is None:
        device, port = stored.device, stored.port
    return Profile(device, port, os.environ.get("WASEL_BROKER") or stored.broker)
