# SPDX-License-Identifier: Apache-2.0
"""Corrupt and hostile native code, each kind and each attack once; `make soak` does it a thousand times."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from agent.link.device import Device as Link
from qemu.launcher import running_device
from soak.native_rounds import run_rounds
from soak.native_sections import ATTACKS, KINDS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.system
ROUNDS = 2 * len(ATTACKS)  # every other one is hand-made


async def test_each_is_contained_in_its_slot(kernel: str, tmp_path: Path) -> None:
    async with (
        running_device("hostile", kernel=kernel, root=tmp_path) as device,
        Link(device.record.port, timeout_s=20) as link,
    ):
        rounds = await run_rounds(link, ROUNDS, random.Random(1))
    assert set(rounds.kinds) == {*ATTACKS, *KINDS} - {"hand-made"}
    assert sum(rounds.ends.values()) == ROUNDS
    assert rounds.tiers["native"] > ROUNDS // 2
    assert rounds.ends["watchdog"] > 0
    assert rounds.neighbour_lines > ROUNDS
