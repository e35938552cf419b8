# SPDX-License-Identifier: Apache-2.0
"""Corrupt and hostile native code ends in its own slot, each time."""

from __future__ import annotations

from agent.link.device import Device as Link
from qemu.launcher import running_device
from soak import Part, Soak
from soak.kernels import kernels
from soak.native_rounds import ContainmentError, run_rounds

ROUNDS = 1000
ANSWER_TIMEOUT_S = 20.0  # a busy machine is no violation


async def _run(soak: Soak) -> None:
    for kernel in kernels(soak):
        await _attack(soak, kernel)


async def _attack(soak: Soak, kernel: str) -> None:
    count = soak.times(ROUNDS)
    root = soak.folder / kernel
    async with (
        running_device("native", kernel=kernel, root=root) as device,
        Link(device.record.port, timeout_s=ANSWER_TIMEOUT_S) as link,
    ):
        try:
            rounds = await run_rounds(link, count, soak.random, lambda text: soak.progress(f"{kernel}: {text}"))
        except ContainmentError as error:
            soak.check(False, f"{kernel}: {error}")
            return
    soak.measure(f"{kernel}: hostile native modules contained", sum(rounds.ends.values()), at_least=count)
    soak.measure(f"{kernel}: of them executed natively", rounds.tiers["native"])
    for end, times in rounds.ends.most_common(6):
        soak.measure(f"{kernel}: ended with {end}", times)


PART = Part("1,000 corrupt or hostile pieces of native code on each kernel, each contained", timeout_s=7200, run=_run)
