# SPDX-License-Identifier: Apache-2.0
"""Whoever waits for an event can be cancelled at any moment, also together with the event."""

import asyncio

import pytest

from agent.patience import clears, happens


async def test_an_event_in_time_and_one_that_does_not_come() -> None:
    event = asyncio.Event()
    assert not await happens(event, 0.01)
    asyncio.get_running_loop().call_soon(event.set)
    assert await happens(event, 60)
    assert await happens(event, 0)


async def test_what_passes_and_what_goes_on() -> None:
    left = iter([True, True, False])
    assert await clears(lambda: next(left), 60, every_s=0)
    assert await clears(lambda: False, 0, every_s=0)
    assert not await clears(lambda: True, 0.01, every_s=0.001)


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancellation_is_never_lost(turns: int) -> None:
    """`turns` of the loop lie between the event and the cancellation."""
    event = asyncio.Event()

    async def loop() -> None:
        while True:
            await happens(event, 60)
            event.clear()

    task = asyncio.ensure_future(loop())
    await asyncio.sleep(0.01)
    event.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task}, timeout=60)
    assert task.cancelled()
