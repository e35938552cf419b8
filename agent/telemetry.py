# SPDX-License-Identifier: Apache-2.0
"""The counters of a device's slots, read now and then and published while they change (`met` of docs/MQTT.md)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import LinkError
from agent.messages import MAX_COUNTERS, MAX_NAME, Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.link.device import Device

__all__ = ["publish_metrics"]

INTERVAL_S = 10.0


async def publish_metrics(
    device: Callable[[], Device | None], publish: Callable[[Metrics], Awaitable[None]], interval_s: float = INTERVAL_S
) -> None:
    """Publish the counters of the device that is there, for ever; a slot whose counters stand still is left out."""
    before: dict[int, dict[str, int]] = {}
    while True:
        current = device()
        if current is not None:
            try:
                now = await _read(current)
            except LinkError:
                now = {}  # the link's owner sees it as well, and does something about it
            if changed := {slot: counters for slot, counters in now.items() if before.get(slot) != counters}:
                await publish(Metrics(changed))
            before = now
        await asyncio.sleep(interval_s)


async def _read(device: Device) -> dict[int, dict[str, int]]:
    counters: dict[int, dict[str, int]] = {}
    for slot in (await device.status()).slots:
        if slot.digest is None:
            continue
        numbers = {
            name: value
            for name, value in (await device.stats(slot.slot)).items()
            if type(value) is int and 0 <= value < 1 << 64 and len(name) <= MAX_NAME
        }
        counters[slot.slot] = dict(list(numbers.items())[:MAX_COUNTERS])
    return counters
