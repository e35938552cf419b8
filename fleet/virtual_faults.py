# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between a broker and virtual devices, by chance and counted; the chance comes from a seed.

TCP loses nothing, so a fault is what a real site does: a QoS 0 message that never comes (loss), one that comes twice or
later than its successors (duplicate, reorder), a QoS 1 message whose receiver dies before it acknowledges it (loss:
the connection is cut, the broker sends the will, the retained desired state comes again), connections that break,
agents and devices that restart, whole storms of reboots, clocks that run fast, slow or elsewhere.

Contract: `Faults` says how often, `Injected` counts what was done. Pure.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, fields

from agent.errors import UsageError

__all__ = ["Faults", "Injected", "Weather"]


@dataclass(frozen=True)
class Faults:
    """How often; probabilities are per message, rates per device and second."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay_s: float = 0.5
    """A message out of order is late by up to so much."""
    cut_rate: float = 0.0
    """Connections that break, without a goodbye."""
    agent_rate: float = 0.0
    """Agents that are killed and start again."""
    reboot_rate: float = 0.0
    """Devices that lose their power."""
    skew_s: float = 0.0
    """Clocks are off by up to so much, both ways."""
    drift: float = 0.0
    """Clocks run fast or slow by up to this share."""
    storm_every_s: float = 0.0
    """A storm of reboots so often; 0: never."""
    storm_share: float = 0.5
    """Share of the devices that a storm reboots."""

    def __post_init__(self) -> None:
        """Refuse what is no probability, rate or time."""
        for item in fields(self):
            value = getattr(self, item.name)
            share = item.name in ("loss", "duplicate", "reorder", "drift", "storm_share")
            if value < 0 or (share and value > 1):
                raise UsageError(f"faults: {item.name} {value:g}: must be {'from 0 to 1' if share else 'at least 0'}")
        if self.loss > 0.9:  # noqa: PLR2004
            raise UsageError("faults: loss over 0.9 leaves nothing to simulate")

    @property
    def event_rate(self) -> float:
        """Cuts, restarts and reboots of one device per second."""
        return self.cut_rate + self.agent_rate + self.reboot_rate


class Injected(Counter[str]):
    """How many faults of each kind were injected."""

    @property
    def all(self) -> int:
        """All of them."""
        return sum(self.values())


class Weather:
    """The faults of one device."""

    __slots__ = ("_chance", "_faults", "_injected", "drift", "skew_s")

    def __init__(self, faults: Faults, injected: Injected, seed: int, name: str) -> None:
        self._faults = faults
        self._injected = injected
        self._chance = random.Random(f"{seed} weather {name}")  # noqa: S311 - a simulation, repeatable
        self.skew_s = self._chance.uniform(-faults.skew_s, faults.skew_s)
        self.drift = 1 + self._chance.uniform(-faults.drift, faults.drift)
        if faults.skew_s or faults.drift:
            injected["clock"] += 1

    def clock(self, now_s: float) -> float:
        """Give the device's own time, never going back."""
        return now_s * self.drift + self.skew_s + self._faults.skew_s

    def wait(self, device_s: float) -> float:
        """Turn a length of the device's time into ours."""
        return device_s / self.drift

    def deliveries(self) -> tuple[float, ...]:
        """Give after how many seconds a message arrives, once each; none: it is lost."""
        chance, faults = self._chance, self._faults
        if faults.loss and chance.random() < faults.loss:
            self._injected["loss"] += 1
            return ()
        first = 0.0
        if faults.reorder and chance.random() < faults.reorder:
            self._injected["reorder"] += 1
            first = chance.random() * faults.delay_s
        if faults.duplicate and chance.random() < faults.duplicate:
            self._injected["duplicate"] += 1
            return (first, chance.random() * faults.delay_s)
        return (first,)

    def next_event(self) -> tuple[float, str] | None:
        """Draw in how many seconds the next cut, restart or reboot comes, and which it is."""
        faults = self._faults
        if not faults.event_rate:
            return None
        kinds = {"cut": faults.cut_rate, "agent restart": faults.agent_rate, "reboot": faults.reboot_rate}
        kind = self._chance.choices(list(kinds), list(kinds.values()))[0]
        return self._chance.expovariate(faults.event_rate), kind

    def in_storm(self) -> bool:
        """Draw whether a storm reaches this device."""
        return self._chance.random() < self._faults.storm_share

    def backoff_s(self, attempt: int) -> float:
        """Give the time until the agent connects again."""
        return float(min(5.0, 0.1 * 2**attempt)) * (0.5 + self._chance.random())
