# SPDX-License-Identifier: Apache-2.0
"""Wait for an event, or for something to pass, but not for ever.

`asyncio.wait_for` is not used anywhere in wasel: in Python 3.11 it loses a cancellation that comes together with what
it waits for, and the task that was cancelled goes on (https://github.com/python/cpython/issues/86296).
`asyncio.timeout` does not; the linter holds us to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["clears", "happens"]


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event; False if it did not come in time."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def clears(busy: Callable[[], bool], within_s: float, *, every_s: float) -> bool:
    """Wait until `busy`, which is asked at once and then every `every_s`, says no; False if it did not in time."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + within_s
    while busy():
        if loop.time() >= ends_s:
            return False
        await asyncio.sleep(every_s)
    return True
