# SPDX-License-Identifier: Apache-2.0
"""MQTT topics of one device, protocol version 1 (docs/PROTOCOL.md): `wasel/1/<tenant>/<device>/<leaf>`."""

from __future__ import annotations

from dataclasses import dataclass

from agent.registry import check_name

__all__ = ["TENANT", "Topics"]

TENANT = "default"


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
        """Retained, QoS 1, server to agent."""
        return self._leaf("desired")

    @property
    def state(self) -> str:
        """Retained, QoS 1, agent to server; also the will."""
        return self._leaf("state")

    @property
    def get(self) -> str:
        """QoS 0, agent to server."""
        return self._leaf("get")

    @property
    def chunk(self) -> str:
        """QoS 0, server to agent."""
        return self._leaf("chunk")

    @property
    def log(self) -> str:
        """QoS 0, agent to server."""
        return self._leaf("log")

    @property
    def met(self) -> str:
        """QoS 0, agent to server."""
        return self._leaf("met")

    @property
    def cmd(self) -> str:
        """QoS 1, server to agent."""
        return self._leaf("cmd")

    @property
    def ack(self) -> str:
        """QoS 1, agent to server."""
        return self._leaf("ack")

    @property
    def app(self) -> str:
        """What modules publish and read lies below this, QoS 1, both directions."""
        return self._leaf("app") + "/"
