# SPDX-License-Identifier: Apache-2.0
"""What a fleet server is told: parsed once, from keywords or `WASEL_FLEET_*` in the environment; unknown names refused.

Workers of one server get the same settings through the environment (`Settings.environment`), so one process is set up
like the other. Secrets are part of it (the broker's URL): never print a whole `Settings`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import UsageError
from agent.registry import check_name, state_root

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "Settings"]

PREFIX = "WASEL_FLEET_"


def _default_data() -> Path:
    return state_root() / "fleet"


@dataclass(frozen=True)
class Settings:
    """One fleet server; sizes in bytes, times in the unit of the name's end."""

    data: Path = field(default_factory=_default_data)
    """Folder of the database (SQLite), artifacts, keys. Shared by all workers."""
    database: str = ""
    """SQLAlchemy URL; empty: SQLite in `data`. PostgreSQL: postgresql+psycopg://USER@HOST/NAME."""
    broker_url: str = ""
    """The server's own way to the broker, mqtt(s)://USER:PASSWORD@HOST:PORT; empty: no MQTT (pages and API only)."""
    broker_ca: str = ""
    """PEM file with the CA of the broker; empty: the system's."""
    device_broker_url: str = ""
    """What devices are told at enrolment; empty: broker_url without user and password."""
    device_ca: str = ""
    """PEM file with the CA that devices are to trust; empty: broker_ca."""
    share_group: str = "server"
    """Group of the shared subscriptions; a secret where devices may subscribe to anything."""
    tenant: str = "default"
    trust_keys: str = ""
    """Public key files (PEM), separated by ':', whose modules are trusted beside those of the root document."""
    twin_keys: str = ""
    """Public key files of those who may sign reports of the twin gate, separated by ':'."""
    twin: str = ""
    """Kernel on which the server's own twin gate runs, "standin" or "sel4"; empty: reports come over HTTP only."""
    require_twin: bool = True
    """No rollout without the twin gate; False: a plan may leave it out (development, simulated fleets)."""
    allow_unsigned: bool = False
    """Take modules without a signature (development)."""
    engine: bool = True
    """This process takes part in the election of the rollout engine's leader."""
    ingest: bool = True
    """This process takes what devices send and gives them their modules; False: it only gives them commands."""
    max_artifact_size: int = 64 << 20
    max_request_size: int = 80 << 20
    chunk_cache_size: int = 16 << 20
    """Bytes of encoded chunks kept ready."""
    max_outstanding_size: int = 8 << 20
    """Bytes handed to the MQTT client and not yet written to its socket."""
    keep_events: int = 100_000
    """Rows of all devices; above that the devices that hold the most lose their oldest (fleet.retention)."""
    keep_events_size: int = 64 << 20
    """Bytes of all devices."""
    keep_device_events_size: int = 256 << 10
    """Bytes of one device."""
    keep_logs: int = 200_000
    keep_logs_size: int = 256 << 20
    keep_device_logs_size: int = 4 << 20
    keep_samples: int = 500_000
    keep_samples_size: int = 256 << 20
    keep_device_samples_size: int = 1 << 20
    keep_rollouts: int = 500
    """Rollouts that are over, with their devices' parts and their twin reports."""
    keep_rollout_devices: int = 2_000_000
    """Devices' parts in rollouts that are over; the oldest rollouts go first."""
    keep_rollout_days: int = 0
    """Days after which a rollout that is over goes, too; 0: not because of its age."""
    keep_audit: int = 1_000_000
    """Entries of the audit log; that older ones went is an entry of its own."""
    keep_expired: int = 1000
    """Tokens that ran out; and as many claims that ran out or were revoked."""
    keep_sessions: int = 100
    """Of one user's browsers, those used last."""
    lease_s: float = 10.0
    tick_s: float = 0.25
    """Of the rollout engine, at most; it is woken earlier by what happens."""

    def __post_init__(self) -> None:
        """Check what can be checked without opening anything."""
        check_name(self.tenant)
        if self.database and not self.database.startswith(("sqlite", "postgresql")):
            raise UsageError("database: its URL must begin with sqlite: or postgresql:")
        if self.database.startswith("postgresql://"):
            object.__setattr__(self, "database", "postgresql+psycopg" + self.database.removeprefix("postgresql"))
        if self.twin not in ("", "standin", "sel4"):
            raise UsageError("twin: standin, sel4, or nothing")
        kept = (
            item.name for item in fields(self) if item.name.startswith("keep_") and item.name != "keep_rollout_days"
        )
        for name in ("max_artifact_size", "lease_s", "tick_s", *kept):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name}: must be above 0")
        if self.keep_rollout_days < 0:
            raise UsageError("keep_rollout_days: must not be below 0")

    @property
    def database_url(self) -> str:
        """The database's URL, the default filled in."""
        return self.database or f"sqlite:///{self.data / 'fleet.db'}"

    @property
    def artifacts(self) -> Path:
        """Folder of the modules, by digest."""
        return self.data / "artifacts"

    @property
    def device_ca_path(self) -> Path | None:
        """File of the CA that devices are to trust."""
        name = self.device_ca or self.broker_ca
        return Path(name) if name else None

    def trust_key_paths(self) -> tuple[Path, ...]:
        """Files of `trust_keys`."""
        return tuple(Path(name) for name in self.trust_keys.split(":") if name)

    def twin_key_paths(self) -> tuple[Path, ...]:
        """Files of `twin_keys`."""
        return tuple(Path(name) for name in self.twin_keys.split(":") if name)

    def environment(self) -> dict[str, str]:
        """Give the variables from which `load` makes these settings again."""
        return {PREFIX + item.name.upper(): str(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read the environment. UsageError: a variable that is unknown or holds no such value."""
        source = os.environ if environment is None else environment
        known = {item.name: item for item in fields(cls)}
        values: dict[str, object] = {}
        for variable, text in source.items():
            if not variable.startswith(PREFIX):
                continue
            name = variable.removeprefix(PREFIX).lower()
            if name in ("url", "token", "ca"):
                continue  # of the command line, which is a client
            if name not in known:
                raise UsageError(f"{variable}: there is no such setting")
            values[name] = _parse(variable, text, known[name].type)
        return cls(**values)  # type: ignore[arg-type]


def _parse(variable: str, text: str, kind: object) -> object:
    try:
        match kind:
            case "bool":
                return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "Path":
                return Path(text)
            case _:
                return text
    except (ValueError, KeyError):
        raise UsageError(f"{variable}: {text!r} is not a {kind}") from None
