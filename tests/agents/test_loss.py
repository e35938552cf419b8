# SPDX-License-Identifier: Apache-2.0
"""How a link goes over to cells on a bad line and back on a good one: the theory alone, and a device behind a line."""

from __future__ import annotations

import hashlib
import random

import pytest

from agent.link.cells import CELL_OVERHEAD, CLASSES, LEAST_SIZE, MOST_SIZE, SURVIVALS, Way
from agent.link.device import Device
from agent.link.loss import CLEAN_ANSWERS, MOST_CLEAN_ANSWERS, Loss
from agent.link.simulated import SimulatedDevice, module, serve
from qemu.faulty_line import Faults, FaultyLine


def share_of(rate: float, size: int) -> int:
    return round(255 * (1 - rate) ** (size + CELL_OVERHEAD + 1))


def settled(rate: float, *, up: float | None = None) -> Loss:
    """What is known after many answers over a line with these faults per byte to us, and from us."""
    loss = Loss()
    loss.lost(None)
    for _ in range(200):
        if loss.way is not None:
            size = loss.way.size
            loss.answered(loss.way, share_of(rate if up is None else up, size), share_of(rate, size), size)
    return loss


def test_a_clean_line_has_no_cells_and_a_loss_begins_with_the_most_parity() -> None:
    loss = Loss()
    assert (loss.way, loss.room()) == (None, None)
    loss.lost(None)
    assert loss.way == Way(LEAST_SIZE, CLASSES - 1)
    assert 300 < (loss.room() or 0) < 1000


@pytest.mark.parametrize(("rate", "least", "most"), [(0.001, 50, 56), (0.01, 16, 28), (0.05, 8, 11)])
def test_size_and_class_follow_what_is_measured(rate: float, least: int, most: int) -> None:
    for loss in (settled(rate), settled(0.0, up=rate), settled(rate, up=0.0)):
        assert loss.way is not None
        assert least <= loss.way.size <= most
        assert SURVIVALS[loss.way.loss_class] <= 100 * (1 - rate) ** (loss.way.size + CELL_OVERHEAD + 1)
        assert loss.way.loss_class == CLASSES - 1 or SURVIVALS[loss.way.loss_class] > 20


def test_what_is_not_known_yet_changes_nothing() -> None:
    loss = Loss()
    loss.lost(None)
    before = loss.way
    loss.answered(before, 0, 0, 0)
    assert loss.way == before


def test_frames_that_are_lost_all_the_same_get_more_parity() -> None:
    loss = settled(0.01)
    assert loss.way is not None
    before = loss.way.loss_class
    for _ in range(4):
        loss.lost(loss.way)
    assert loss.way.loss_class > before
    for _ in range(100):
        loss.lost(loss.way)
    assert loss.way.loss_class == CLASSES - 1


def test_a_clean_line_gets_whole_frames_again_later_each_time_that_was_wrong() -> None:
    loss = Loss()
    patience = []
    for _ in range(8):
        loss.lost(None)
        answers = 0
        while loss.way is not None:
            loss.answered(loss.way, 255, 255, MOST_SIZE)
            answers += 1
        patience.append(answers)
    assert patience == [CLEAN_ANSWERS, *(min(2 * n, MOST_CLEAN_ANSWERS) for n in patience[:-1])]
    assert patience[-1] == MOST_CLEAN_ANSWERS


@pytest.mark.parametrize("kind", ["drop", "corrupt", "duplicate", "swap"])
@pytest.mark.parametrize("share", [0.01, 0.05])
async def test_an_upload_over_a_bad_line_and_then_a_good_one(kind: str, share: float) -> None:
    device = SimulatedDevice()
    data = module("print x", size=6000)
    async with serve(device) as port:
        line = FaultyLine(1)
        await line.open(port)
        try:
            async with Device(line.port, timeout_s=1.0) as link:
                line.faults = Faults(**{kind: share})
                await link.upload(0, data)
                line.faults = Faults()
                assert link.transport.counters.parity_bytes > 0
                assert await link.candidate(0) == hashlib.sha256(data).digest()
                for _ in range(4 * CLEAN_ANSWERS):
                    await link.echo("x" * 300)
                    if link.transport.loss.way is None:
                        break
                assert link.transport.loss.way is None
        finally:
            await line.close()


async def test_a_link_opens_over_a_bad_line() -> None:
    async with serve(SimulatedDevice()) as port:
        line = FaultyLine(2, Faults(drop=0.05))
        await line.open(port)
        try:
            async with Device(line.port, timeout_s=1.0) as link:
                text = random.Random(1).randbytes(20).hex()
                assert [await link.echo(text) for _ in range(10)] == [text] * 10
        finally:
            await line.close()
