# SPDX-License-Identifier: Apache-2.0
"""Wait for an event, but not for ever.

`asyncio.wait_for` is not used anywhere in wasel: in Python 3.11 it loses a cancellation that comes together with what
it waits for, and the task that was cancelled goes on (https://github.com/python/cpython/issues/86296).
`asyncio.timeout` does not; the linter holds us to it.
"""

from __future__ import annotations

import asyncio

__all__ = ["happens"]


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event; False if it did not come in time."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
