# SPDX-License-Identifier: Apache-2.0
"""Budgets, watchdog and restarts on the booted device. Guest time counts instructions: a busy host changes nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from smpclient.requests.os_management import DateTimeRead

from agent.link.device import Device as Link
from agent.link.modules import Limits, SlotStatus
from qemu.launcher import running_device
from sel4_bridge.system import SLOT_CLASSES
from tests.system import modules as m
from tests.system.conftest import RUN_TIMEOUT_S, follow, image_of, install

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.system
PING_MS = 100  # guest time
PINGS = 100
GUEST_TIME = ("-icount", "shift=3,sleep=off")
ENDLESS = m.module(m.LOOP_FOR_EVER)
TRAPS = m.module(m.UNREACHABLE)
WORK = m.compile_c(r"""
#include <stdio.h>
#include <time.h>
/* Units of work, and how long each took in us of guest time. */
int main(void) {
    for (int round = 0; round < 6; round++) {
        struct timespec a, b;
        unsigned x = 1;
        clock_gettime(CLOCK_MONOTONIC, &a);
        for (unsigned i = 0; i < 500000; i++) { x = x * 1664525 + 1013904223; __asm__ volatile("" ::"r"(x)); }
        clock_gettime(CLOCK_MONOTONIC, &b);
        printf("%lld\n", (b.tv_sec - a.tv_sec) * 1000000ll + (b.tv_nsec - a.tv_nsec) / 1000);
        fflush(stdout);
    }
    return 0;
}
""")
CALLS = m.compile_c(r"""
#include <time.h>
int main(void) { for (struct timespec now;;) { clock_gettime(CLOCK_MONOTONIC, &now); } }
""")
CALLER = m.compile_c(r"""
#include <unistd.h>
/* Nothing but calls: each line is one write of its own. */
int main(void) {
    for (unsigned n = 0; n < 4000; n++) {
        char line[8];
        for (unsigned i = 0, rest = n; i < 6; i++, rest /= 10) { line[5 - i] = (char)('0' + rest % 10); }
        line[6] = '\n';
        if (write(1, line, 7) != 7) { return 1; }
    }
    return 0;
}
""")


@pytest_asyncio.fixture(params=["standin", "sel4"])
async def link(request: pytest.FixtureRequest) -> AsyncIterator[Link]:
    image = image_of(request.param)
    async with (
        running_device("limits", kernel=request.param, image=image, extra=GUEST_TIME) as device,
        Link(device.record.port, name="device") as opened,
    ):
        yield opened


async def work_us(link: Link, limits: Limits | None = None) -> int:
    """Guest time that slot 1 needs for its work."""
    cursor = (await link.slot(1)).log_next
    await link.start(1, ("work",), lossless=True, limits=limits or Limits())
    ended = await follow(link, 1, cursor)
    assert ended.status.exit == 0
    return sum(map(int, ended.stdout.split()))


async def guest_now(link: Link) -> dt.datetime:
    return dt.datetime.fromisoformat((await link.request(DateTimeRead())).datetime)


async def ping_ms(link: Link) -> float:
    """Guest time between two looks at the device's clock, with a ping between them; the host's own time counts too."""
    before = await guest_now(link)
    await link.echo("ping")
    return (await guest_now(link) - before) / dt.timedelta(milliseconds=1)


async def quickest_ping_ms(link: Link) -> float:
    """The first below PING_MS, else the quickest of many: guest time goes on while a busy host is slow to ask."""
    quickest = math.inf
    for _ in range(PINGS):
        quickest = min(quickest, await ping_ms(link))
        if quickest < PING_MS:
            break
    return quickest


async def until(link: Link, slot: int, condition: Callable[[SlotStatus], bool]) -> SlotStatus:
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while not condition(status := await link.slot(slot)):  # noqa: ASYNC110 - the device is asked, it does not call
            await asyncio.sleep(0.01)
    return status


async def test_a_neighbour_with_a_budget_costs_less_than_a_tenth(link: Link) -> None:
    await install(link, 0, ENDLESS)
    await install(link, 1, WORK)
    idle_us = await work_us(link)
    await link.start(0)
    free_us = await work_us(link)
    await link.stop(0)
    await link.start(0, limits=Limits(budget_percent=20))
    limited_us = await work_us(link)
    assert await quickest_ping_ms(link) < PING_MS
    assert (await link.slot(0)).state == "running"
    print(f"slot 1's time beside an endless loop: {free_us / idle_us:.3f} of its time alone")
    print(f"beside one with a budget of 20 %: {limited_us / idle_us:.3f}")
    assert free_us / idle_us > 1.8  # without a budget the two share: this test can fail
    assert limited_us / idle_us < 1 / 0.9  # throughput drops by less than 10 %


async def test_a_neighbour_with_a_budget_that_does_nothing_but_call_costs_no_more(link: Link) -> None:
    await install(link, 0, CALLS)
    await install(link, 1, WORK)
    idle_us = await work_us(link)
    await link.start(0, limits=Limits(budget_percent=20))
    limited_us = await work_us(link)
    print(f"slot 1's time beside calls with a budget of 20 %: {limited_us / idle_us:.3f} of its time alone")
    assert (await link.slot(0)).state == "running"
    assert int((await link.stats(0))["calls"]) > 0
    assert limited_us / idle_us < 1 / 0.9  # though each call is served by a domain that stands above both


async def test_a_budget_is_what_a_module_gets_alone(link: Link) -> None:
    await install(link, 1, WORK)
    alone_us = await work_us(link)
    before = await link.stats(1)
    quarter_us = await work_us(link, Limits(budget_percent=25))
    after = await link.stats(1)
    print(f"budget 25 %: {alone_us / quarter_us:.3f} of the speed")
    assert 0.23 < alone_us / quarter_us < 0.26
    used_us, run_us = (int(after[key]) - int(before[key]) for key in ("cpu_us", "run_us"))
    assert 0.23 < used_us / run_us < 0.28


async def test_no_call_is_lost_or_made_twice_by_a_pause(link: Link) -> None:
    await install(link, 0, CALLER)
    cursor = (await link.slot(0)).log_next
    await link.start(0, ("caller",), lossless=True, limits=Limits(budget_percent=10))
    ended = await follow(link, 0, cursor)
    assert ended.stdout == b"".join(b"%06d\n" % number for number in range(4000))
    assert ended.status.exit == 0
    assert int((await link.stats(0))["messages_refused"]) == 0


async def test_the_watchdog_stops_and_failures_start_again(link: Link) -> None:
    await install(link, 0, ENDLESS)
    await link.start(0, limits=Limits(timeout_ms=200))
    status = await until(link, 0, lambda slot: slot.state != "running")
    assert (status.state, status.reason, status.restart_ms) == ("stopped", "watchdog", None)
    await install(link, 1, TRAPS)
    await link.start(1, limits=Limits(restart="on-failure"))
    status = await until(link, 1, lambda slot: slot.state == "trapped" and (slot.restart_ms or 0) > 0)
    assert status.trap == "unreachable"
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while int((await link.stats(1))["retries"]) < 3:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    await link.stop(1)
    counters = await link.stats(1)
    assert counters["starts"] == 1
    assert int(counters["traps"]) == int(counters["retries"]) + 1
    assert (await link.slot(1)).restart_ms is None


async def test_statistics_of_a_module_that_runs_on(link: Link) -> None:
    await install(link, 0, ENDLESS)
    await link.start(0)
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while int((counters := await link.stats(0))["arena_peak"]) == 0:  # noqa: ASYNC110 - the device is asked
            await asyncio.sleep(0.01)
    assert counters["memory"] == 65536  # one page
    assert counters["arena_peak"] == int(counters["memory"]) + int(counters["bookkeeping"])
    assert 0 < int(counters["bookkeeping"]) < 2**20
    assert int(counters["run_us"]) >= int(counters["active_us"]) >= int(counters["cpu_us"]) > 0


async def test_status_shows_each_slots_class(link: Link) -> None:
    found = [(slot.slot_class, slot.budget, slot.period_us) for slot in (await link.status()).slots]
    assert found == [(each.name, each.percent, each.period_us) for each in SLOT_CLASSES]
