# SPDX-License-Identifier: Apache-2.0
"""Find the serial port behind which a device answers.

Every serial port of the machine is asked at once for an SMP echo, and given PATIENCE_S. Ports that somebody else holds,
or that may not be opened, do not answer. Nothing is written to a device but that one request.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import LinkError
from agent.link.device import Device

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answering_ports", "serial_ports"]

PATIENCE_S = 2.0
MAX_PORTS = 64
QUESTION = "wasel"


def serial_ports() -> list[str]:
    """Name the machine's serial ports, USB adapters and built-in ones alike."""
    from serial.tools import list_ports  # noqa: PLC0415 - slow, and rarely needed

    return sorted(port.device for port in list_ports.comports())


async def _answers(port: str) -> bool:
    try:
        async with asyncio.timeout(PATIENCE_S), Device(port, name=port) as device:
            return await device.echo(QUESTION) == QUESTION
    except (LinkError, TimeoutError):
        return False


def answering_ports(ports: Sequence[str]) -> list[str]:
    """Tell which of the ports have a device behind them, in their order."""

    async def ask() -> list[bool]:
        return await asyncio.gather(*map(_answers, ports[:MAX_PORTS]))

    return [port for port, answer in zip(ports, asyncio.run(ask()), strict=False) if answer] if ports else []
