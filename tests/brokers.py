# SPDX-License-Identifier: Apache-2.0
"""A broker for the time of a test, where mosquitto is installed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from qemu.broker import Broker, find_mosquitto, running_broker
from qemu.errors import MissingToolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@contextlib.asynccontextmanager
async def broker_or_skip(folder: Path) -> AsyncIterator[Broker]:
    """Run a broker for the time of the block; the test is skipped without mosquitto."""
    try:
        find_mosquitto()
    except MissingToolError as missing:
        pytest.skip(str(missing))
    async with running_broker(folder) as broker:
        yield broker
