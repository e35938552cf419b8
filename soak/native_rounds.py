# SPDX-License-Identifier: Apache-2.0
"""Rounds of hostile native code on one device: each must end in its own slot, and leave the rest alone.

Contract: slot 1 runs a module whose every line is checked; after each hostile module in slot 0 the device answers, and
every GOOD_EVERY rounds slot 0 runs a good native module to its end. What does not hold is a `ContainmentError`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.errors import WaselError
from agent.link.modules import Limits
from edge_engine.aot.compiler import compile_module
from edge_engine.aot.section import add_section
from soak.native_sections import TARGET, hostile_modules
from tests.system import modules as m

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from agent.link.device import Device as Link
    from agent.link.modules import SlotStatus

__all__ = ["ContainmentError", "Rounds", "run_rounds"]

ATTACK_MS = 150  # guest time that one is left alone if nothing stops it
END_TIMEOUT_S = 120.0  # real time a round may take on a busy machine
GOOD_EVERY = 20
POLL_S = 0.01
TICKER = r"""
#include <stdio.h>
#include <unistd.h>
int main(void) { for (unsigned n = 0;; n++) { printf("tick %u\n", n); fflush(stdout); usleep(20000); } }
"""
GOOD = r"""
#include <stdio.h>
#include <string.h>
static unsigned char bytes[4096];
int main(int argc, char **argv) {
    unsigned sum = 0;
    memset(bytes, argc, sizeof bytes);
    for (unsigned i = 0; i < sizeof bytes; i++) sum = sum * 31 + bytes[i] + (unsigned)argv[0][i % strlen(argv[0])];
    printf("%u\n", sum);
    return 7;
}
"""


class ContainmentError(WaselError):
    """Hostile code reached beyond its slot."""


@dataclass
class Rounds:
    """What became of the hostile modules."""

    ends: Counter[str] = field(default_factory=Counter)  # how they ended
    kinds: Counter[str] = field(default_factory=Counter)
    tiers: Counter[str] = field(default_factory=Counter)
    neighbour_lines: int = 0


class _Neighbour:
    def __init__(self, link: Link, cursor: int) -> None:
        self.link, self.cursor, self.lines = link, cursor, 0

    async def check(self) -> None:
        """Read slot 1's output: nothing is missing, nothing else is in it."""
        while True:
            answer = await self.link.logs(1, self.cursor)
            if answer.dropped:
                raise ContainmentError(f"the neighbour lost {answer.dropped} lines")
            for _, stream, ends_line, data in answer.records:
                if (stream, ends_line, data) != (1, True, b"tick %d" % self.lines):
                    raise ContainmentError(f"the neighbour wrote {data!r} for line {self.lines}")
                self.lines += 1
            self.cursor = answer.next
            if not answer.records:
                return


async def _install(link: Link, slot: int, module: bytes) -> None:
    await link.upload(slot, module)
    await link.set_pending(hashlib.sha256(module).digest())


async def _ended(link: Link) -> SlotStatus:
    deadline_s = asyncio.get_running_loop().time() + END_TIMEOUT_S
    while (status := await link.slot(0)).state == "running":
        if asyncio.get_running_loop().time() > deadline_s:
            raise ContainmentError("slot 0 does not end, watchdog or not")
        await asyncio.sleep(POLL_S)
    return status


async def _good(link: Link, module: bytes, expected: bytes) -> None:
    await _install(link, 0, module)
    cursor = (await link.slot(0)).log_next
    await link.start(0, ("good",))
    status = await _ended(link)
    answer = await link.logs(0, cursor)
    said = b"".join(data for _, _, _, data in answer.records)
    if (status.state, status.exit, status.tier, said) != ("exited", 7, "native", expected):
        raise ContainmentError(f"a good module in slot 0: {status}, it wrote {said!r}")


def _expected() -> bytes:
    total = 0
    for i in range(4096):
        total = (total * 31 + 1 + b"good"[i % 4]) % (1 << 32)
    return b"%d" % total


async def run_rounds(
    link: Link, count: int, source: random.Random, progress: Callable[[str], None] = lambda _: None
) -> Rounds:
    """Run so many hostile modules. ContainmentError names the round, what came, and what it did."""
    rounds = Rounds()
    good = m.compile_c(GOOD)
    native_good = add_section(good, compile_module(good, TARGET).code)
    await _install(link, 1, m.compile_c(TICKER))
    neighbour = _Neighbour(link, (await link.slot(1)).log_next)
    await link.start(1, lossless=True)
    modules = hostile_modules([good, m.module(b"")], source)
    for number in range(1, count + 1):
        hostile = next(modules)
        progress(f"round {number} of {count}: {hostile.kind} {hostile.attack}")
        try:
            await _install(link, 0, hostile.data)
            await link.start(0, ("hostile",), limits=Limits(timeout_ms=ATTACK_MS))
            status = await _ended(link)
            if await link.echo("still there?") != "still there?":
                raise ContainmentError("the supervisor answers something else")
            await neighbour.check()
            other = await link.slot(1)
            if other.state != "running":
                raise ContainmentError(f"the neighbour is {other.state}: {other.trap or other.error or other.reason}")
            if number % GOOD_EVERY == 0 or number == count:
                await _good(link, native_good, _expected())
        except WaselError as error:
            raise ContainmentError(f"round {number}, {hostile.kind} {hostile.attack}: {error}") from error
        end = status.trap or status.reason or status.error or f"exit {status.exit}"
        rounds.ends[end.split(":")[0].split(" at ")[0]] += 1
        rounds.kinds[hostile.attack or hostile.kind] += 1
        rounds.tiers[status.tier or "unknown"] += 1
    counters = await link.stats(1)
    if counters["traps"] or counters["faults"] or counters["log_broken"]:
        raise ContainmentError(f"the neighbour's counters: {counters}")
    rounds.neighbour_lines = neighbour.lines
    return rounds
