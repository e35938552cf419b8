# SPDX-License-Identifier: Apache-2.0
"""Helpers of `wasel fleet simulate` and the soak: names of devices, and waiting for what a fleet does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["device_names", "until"]

POLL_S = 0.05


def device_names(count: int, prefix: str = "sim") -> list[str]:
    """Give names that sort as they count."""
    width = max(4, len(str(max(count - 1, 0))))
    return [f"{prefix}-{number:0{width}}" for number in range(count)]


async def until(good: Callable[[], bool], timeout_s: float, poll_s: float = POLL_S) -> float:
    """Wait until something holds; gives how long that took in seconds. TimeoutError."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    async with asyncio.timeout(timeout_s):
        while not good():  # noqa: ASYNC110 - thousands of devices would have to say so each time
            await asyncio.sleep(poll_s)
    return loop.time() - began_s
