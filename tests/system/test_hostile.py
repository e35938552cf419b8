# SPDX-License-Identifier: Apache-2.0
"""Engines that attack the device, in every way of hostile/attack.h: contained, restarted, nobody else affected."""

from __future__ import annotations

import asyncio
import re
import struct
from typing import TYPE_CHECKING

import pytest

from agent.link.device import Device as Link
from agent.link.modules import Limits
from qemu.launcher import running_device
from sel4_bridge.build import Change, build_device
from tests.system import modules as m
from tests.system.conftest import image_of, install, run_module

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system
HOSTILE = m.ROOT / "tests" / "system" / "hostile"
ATTACKS = re.findall(r"X\((\w+)\)", (HOSTILE / "attack.h").read_text(encoding="utf-8"))
ROUNDS = 100
RECOVERY_MS = 1000  # guest time from the attack's first instruction to the next start's
ATTACK_MS = 300  # guest time that an attack is left alone if nothing stops it
# While somebody computes, guest time goes on with instructions: a busy host does not count. Else it is the host's.
GUEST_TIME = ("-icount", "shift=3")
TIMEOUT_S = 300.0  # real time a round may take on a busy machine
TICKER = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { for (unsigned n = 0;; n++) { printf("tick %u\n", n); fflush(stdout); usleep(20000); } }
"""


@pytest.fixture(scope="module", params=["standin", "sel4"])
def hostile(request: pytest.FixtureRequest) -> tuple[str, Path]:
    """The kernel and its image with hostile engines."""
    kernel = str(request.param)
    image_of(kernel)
    change = Change("engine", (HOSTILE / "attack.c",), "sb_run")
    folder = m.ROOT / "build" / "variants" / f"attack-{kernel}"
    return kernel, build_device(kernel, folder=folder, changes=(change,)).image


def order(attack: int, seed: int) -> bytes:
    return struct.pack("<8sQQ", b"ATTACK", attack, seed)


class Neighbour:
    """Slot 1, whose output is read and checked all the time."""

    def __init__(self, link: Link, cursor: int) -> None:
        self.link, self.cursor, self.lines = link, cursor, 0

    async def check(self) -> None:
        while True:
            answer = await self.link.logs(1, self.cursor)
            assert answer.dropped == 0
            for _, stream, ends_line, data in answer.records:
                assert (stream, ends_line, data) == (1, True, b"tick %d" % self.lines)
                self.lines += 1
            self.cursor = answer.next
            if not answer.records:
                return


async def attacked(link: Link, attack: int, seed: int) -> tuple[int, list[str]]:
    """Let slot 0 attack until it was contained and started again; the ms that took, and what its status said."""
    await install(link, 0, order(attack, seed))
    before = (await link.stats(0))["retries"]
    await link.start(0, limits=Limits(timeout_ms=ATTACK_MS, restart="on-failure"))
    said: list[str] = []
    deadline_s = asyncio.get_running_loop().time() + TIMEOUT_S
    while True:
        status = await link.slot(0)
        assert asyncio.get_running_loop().time() < deadline_s, f"{ATTACKS[attack]} is not over: {status}"
        what = status.trap or status.reason or f"exit {status.exit}"
        if status.state not in {"running", "exited"} and what not in said:
            said.append(what)
        if status.state == "exited" and status.exit == 0:
            break
        await asyncio.sleep(0.01)
    assert (await link.stats(0))["retries"] == before + 1
    return status.bookkeeping, said


async def test_every_attack_is_contained_and_the_slot_starts_again(hostile: tuple[str, Path]) -> None:
    kernel, image = hostile
    contained: dict[str, list[str]] = {}
    slowest_ms = 0
    async with (
        running_device("hostile", kernel=kernel, image=image, extra=GUEST_TIME) as device,
        Link(device.record.port) as link,
    ):
        await install(link, 1, m.compile_c(TICKER))
        neighbour = Neighbour(link, (await link.slot(1)).log_next)
        await link.start(1, lossless=True)
        for number in range(ROUNDS):
            attack = number % len(ATTACKS)
            took_ms, said = await attacked(link, attack, seed=1 + number)
            assert 0 < took_ms < RECOVERY_MS, ATTACKS[attack]
            slowest_ms = max(slowest_ms, took_ms)
            contained.setdefault(ATTACKS[attack], []).extend(said)
            assert await link.echo("still there?") == "still there?"
            await neighbour.check()
            assert (await link.slot(1)).state == "running"
        assert neighbour.lines > ROUNDS
        hello = await run_module(link, 0, m.compile_c('#include <stdio.h>\nint main(void) { puts("well"); return 0; }'))
        assert (hello.stdout, hello.status.exit) == (b"well\n", 0)
        counters = await link.stats(1)
    assert (counters["traps"], counters["faults"], counters["log_broken"]) == (0, 0, 0)
    print(f"{kernel}: {ROUNDS} attacks, slowest recovery {slowest_ms} ms, neighbour's lines {neighbour.lines}")
    for name, said in contained.items():
        print(f"  {name}: {'; '.join(sorted(set(said)))}")
