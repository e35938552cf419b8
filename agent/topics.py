# SPDX-License-Identifier: Apache-2.0
"""MQTT topics of one device, protocol version 1 (docs/MQTT.md): `wasel/1/<tenant>/<device>/<leaf>`.

LEAVES says how each is published: the reference page is made from it, and a test compares it with who publishes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from agent.registry import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LEAVES", "TENANT", "Leaf", "Topics"]

TENANT = "default"


@dataclass(frozen=True)
class Leaf:
    """How one kind of message is published."""

    publisher: str
    """Who: "server" (or `wasel deploy`), "agent", or "modules", in both directions."""
    qos: int
    retained: bool
    message: str
    """Its class in agent/messages.py; "": bodies are the modules' own."""
    text: str


LEAVES: Mapping[str, Leaf] = MappingProxyType(
    {
        "desired": Leaf("server", 1, True, "Desired", "what the device's slots should run"),
        "state": Leaf("agent", 1, True, "State", "what they run; also the agent's will"),
        "get": Leaf("agent", 0, False, "Get", "asks for pieces of a module"),
        "chunk": Leaf("server", 0, False, "Chunk", "a piece of a module"),
        "log": Leaf("agent", 0, False, "LogLine", "a record of a slot's output"),
        "met": Leaf("agent", 0, False, "Metrics", "counters of the slots"),
        "cmd": Leaf("server", 1, False, "Command", "something to do once, now; with an expiry"),
        "ack": Leaf("agent", 1, False, "Ack", "what came of a command"),
        "app/...": Leaf("modules", 1, False, "", "what modules write to /mqtt/out/... and read from /mqtt/in/..."),
    }
)
"""Behind `wasel/1/TENANT/DEVICE/`."""


@dataclass(frozen=True)
class Topics:
    """The topics of one device."""

    device: str
    tenant: str = TENANT

    def __post_init__(self) -> None:
        check_name(self.device)
        check_name(self.tenant)

    def _leaf(self, name: str) -> str:
        return f"wasel/1/{self.tenant}/{self.device}/{name}"

    @property
    def desired(self) -> str:
        """What the slots should run."""
        return self._leaf("desired")

    @property
    def state(self) -> str:
        """What they run; also the will."""
        return self._leaf("state")

    @property
    def get(self) -> str:
        """Asks for pieces."""
        return self._leaf("get")

    @property
    def chunk(self) -> str:
        """Pieces of modules."""
        return self._leaf("chunk")

    @property
    def log(self) -> str:
        """Output."""
        return self._leaf("log")

    @property
    def met(self) -> str:
        """Counters."""
        return self._leaf("met")

    @property
    def cmd(self) -> str:
        """Something to do once."""
        return self._leaf("cmd")

    @property
    def ack(self) -> str:
        """What came of it."""
        return self._leaf("ack")

    @property
    def app(self) -> str:
        """What modules publish and read lies below this."""
        return self._leaf("app") + "/"
