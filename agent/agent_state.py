# SPDX-License-Identifier: Apache-2.0
"""What an agent must know after a crash: the last desired state, its starts, how far the logs were published.

One JSON file per device, replaced whole. A file of another version or with damage is an error that names it: starting
from nothing would start modules again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import MessageError
from agent.files import replace_file
from agent.messages import Desired
from agent.reconcile import Record

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AgentState"]

VERSION = 1


@dataclass
class AgentState:
    """In memory and on disk."""

    path: Path
    desired: Desired = field(default_factory=lambda: Desired(0))
    records: dict[int, Record] = field(default_factory=dict)
    cursors: dict[int, int] = field(default_factory=dict)
    """Next log record to publish, by slot."""

    @classmethod
    def load(cls, path: Path) -> AgentState:
        """Read the file; no file is a new agent."""
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError) as error:
            raise MessageError(
                f"{path}: cannot be read: {error}; repair it, or remove it to start from nothing"
            ) from error
        try:
            if data["version"] != VERSION:
                raise MessageError(f"{path}: is of version {data['version']}, this agent knows {VERSION}")
            return cls(
                path,
                Desired.parse(bytes.fromhex(data["desired"])),
                {
                    int(slot): Record(bytes.fromhex(entry["digest"]), entry["config"], int(entry["starts_before"]))
                    for slot, entry in data["records"].items()
                },
                {int(slot): int(cursor) for slot, cursor in data["cursors"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MessageError(f"{path}: is damaged ({error!r}); remove it to start from nothing") from error

    def save(self) -> None:
        """Write the file; it is durable when this returns."""
        data = {
            "version": VERSION,
            "desired": self.desired.encode().hex(),
            "records": {
                str(slot): {"digest": r.digest.hex(), "config": r.config, "starts_before": r.starts_before}
                for slot, r in self.records.items()
            },
            "cursors": {str(slot): cursor for slot, cursor in self.cursors.items()},
        }
        replace_file(self.path, json.dumps(data, indent=1).encode())
