# SPDX-License-Identifier: Apache-2.0
"""Watch one slot over the link: wait until a start has settled, copy its output until it ends, name the outcome.

Polling is adaptive: it starts at 5 ms and slows down to half a second while nothing comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import EXIT_OK, RefusedError, TrapError
from agent.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.link.device import Device
    from agent.link.modules import SlotStatus

__all__ = ["Pace", "copy_logs", "describe", "follow", "outcome", "settle"]

SETTLE_S = 0.5
"""A module that still runs silently after this long is taken as accepted and running."""
MAX_ROUNDS = 64
"""Log requests in a row for one slot before the others get their turn."""

Record = tuple[int, int, bool, bytes]


class Pace:
    """Seconds to wait between polls: short after something happened, then longer and longer."""

    def __init__(self, least_s: float = 0.005, most_s: float = 0.5) -> None:
        self._least_s, self._most_s, self._next_s = least_s, most_s, least_s

    def hit(self) -> None:
        """Something came: poll fast again."""
        self._next_s = self._least_s

    def wait_s(self) -> float:
        """Give the time to wait now and make the next one longer."""
        wait_s, self._next_s = self._next_s, min(self._next_s * 1.5, self._most_s)
        return wait_s


async def copy_logs(device: Device, slot: int, cursor: int, sink: Callable[[Record], None]) -> int:
    """Give all records from `cursor` on to `sink`; returns the next cursor."""
    for _ in range(MAX_ROUNDS):
        answer = await device.logs(slot, cursor)
        if answer.dropped:
            sink((cursor, 0, True, f"({answer.dropped} records were overwritten before they were read)".encode()))
        for record in answer.records:
            sink(record)
        if answer.next == cursor or not answer.records:
            return answer.next
        cursor = answer.next
    return cursor


async def settle(device: Device, slot: int, log_before: int) -> SlotStatus:
    """Wait after a start until the module is done, has written, or has run silently for a moment."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + SETTLE_S
    pace = Pace(most_s=0.05)
    while True:
        status = await device.slot(slot)
        if status.state != "running" or status.log_next != log_before or loop.time() >= deadline_s:
            return status
        await asyncio.sleep(pace.wait_s())


async def follow(
    device: Device, slot: int, cursor: int, sink: Callable[[Record], None], *, for_ever: bool = False
) -> SlotStatus:
    """Copy a slot's output until its module ends (or for ever); gives the final status."""
    pace = Pace()
    while True:
        status = await device.slot(slot)  # before the logs: what was written before the end is read after it
        if status.log_next < cursor:
            cursor = 0  # the device restarted
        reached = await copy_logs(device, slot, cursor, sink) if status.log_next != cursor else cursor
        if reached != cursor:
            pace.hit()
        cursor = reached
        if not for_ever and status.state != "running":
            return status
        await asyncio.sleep(pace.wait_s())


def describe(status: SlotStatus) -> str:
    """Say in a few words how a slot is."""
    if status.state == "exited":
        return f"exit code {status.exit}"
    if status.state == "trapped":
        return printable(status.trap or "trap")
    if status.state == "refused":
        return printable(status.error or "refused")
    return ""


def outcome(status: SlotStatus, name: str) -> int:
    """Turn a final status into the module's exit code, or raise the error that it stands for."""
    if status.state == "refused":
        raise RefusedError(f"{name}: {describe(status)}")
    if status.state == "trapped":
        backtrace = "\n" + printable(status.backtrace, keep="\n") if status.backtrace else ""
        raise TrapError(f"{name}: trap: {describe(status)}{backtrace}")
    if status.state == "exited":
        return (status.exit or 0) & 0xFF
    return EXIT_OK
