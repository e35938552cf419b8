# SPDX-License-Identifier: Apache-2.0
"""Devices that live as long as a command that wants one (entry-point group `wasel.devices`).

Each is an async context manager that gives the pyserial URL of a fresh device's port and takes the device down after.
Errors: agent.errors.WaselError, as its launcher says.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from qemu.launcher import running_device
from qemu.sim import running_simulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["qemu", "sel4", "sim"]


@contextlib.asynccontextmanager
async def sim() -> AsyncIterator[str]:
    """Run a device in the host simulator."""
    async with running_simulator() as simulator:
        yield simulator.port


@contextlib.asynccontextmanager
async def qemu() -> AsyncIterator[str]:
    """Run a device under QEMU, on the stand-in kernel."""
    async with running_device("own") as device:
        yield device.record.port


@contextlib.asynccontextmanager
async def sel4() -> AsyncIterator[str]:
    """Run a device under QEMU, on genuine seL4 (needs MICROKIT_SDK)."""
    async with running_device("own", kernel="sel4") as device:
        yield device.record.port
