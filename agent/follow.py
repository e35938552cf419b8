# SPDX-License-Identifier: Apache-2.0
"""Watch one slot over the link: wait until a start has settled, copy its output until it ends, name the outcome.

Polling is adaptive: it starts at 5 ms and slows down to half a second while nothing comes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from agent.errors import EXIT_OK, BudgetError, RefusedError, TrapError, WaselError
from agent.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.link.device import Device
    from agent.link.modules import SlotStatus
    from agent.messages import SlotReport

__all__ = ["Pace", "copy_logs", "describe", "follow", "outcome", "settle"]

SETTLE_S = 0.5
"""A module that still runs silently after this long is taken as accepted and running."""
FUEL_TRAP = "fuel exhausted"
"""The engine's name of the trap that ends a module without fuel (edge_engine.h)."""
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
    device: Device,
    slot: int,
    cursor: int,
    sink: Callable[[Record], None],
    *,
    for_ever: bool = False,
    slowest_s: float = 0.5,
) -> SlotStatus:
    """Copy a slot's output until its module has ended and all of it is copied (or for ever); gives the final status.

    Who follows for long holds the line: between polls the device may give way to an agent.
    """
    pace = Pace(most_s=slowest_s)
    while True:
        status = await device.slot(slot)  # before the logs: what was written before the end is read after it
        if status.log_next < cursor:
            cursor = 0  # the device restarted
        if status.log_next != cursor:
            cursor = await copy_logs(device, slot, cursor, sink)
            pace.hit()
        elif status.state != "running" and not for_ever:
            return status
        else:
            await device.give_way()
            await asyncio.sleep(pace.wait_s())


def describe(status: SlotStatus) -> str:
    """Say in a few words how a slot is."""
    if status.state == "exited":
        return f"exit code {status.exit}"
    if status.state == "trapped":
        return printable(status.trap or "trap")
    if status.state == "refused":
        return printable(status.error or "refused")
    if status.state == "stopped" and status.reason:
        return printable(status.reason)
    return ""


def outcome(status: SlotStatus | SlotReport, name: str) -> int:
    """Turn a final status into the module's exit code, or raise the error that it stands for."""
    match status.state:
        case "exited":
            return (status.exit or 0) & 0xFF  # as a shell would see it
        case "trapped" if status.trap == FUEL_TRAP:
            raise BudgetError(f"{FUEL_TRAP} ({name})")
        case "trapped":
            backtrace = "\n" + printable(status.backtrace, keep="\n").rstrip("\n") if status.backtrace else ""
            raise TrapError(f"trap: {printable(status.trap or 'unknown')} ({name}){backtrace}")
        case "refused":
            raise RefusedError(f"{name}: {printable(status.error or 'refused without a reason')}")
        case "running":
            return EXIT_OK
        case other:
            raise WaselError(f"{name}: is {other}: somebody else stopped it or reset the device")
