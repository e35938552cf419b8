# SPDX-License-Identifier: Apache-2.0
"""What a module is sent as: it comes out again, small changes stay small, nonsense is refused."""

from __future__ import annotations

import hashlib
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.link.device import Device
from agent.link.encoding import DEFLATE, DELTA, PLAIN, EncodingError, decode, deflate, delta, smallest
from agent.link.simulated import SimulatedDevice, module, serve
from edge_engine.zig import ROOT

PIECES = st.lists(st.one_of(st.binary(max_size=60), st.tuples(st.integers(0, 300), st.integers(0, 300))), max_size=8)


def put_together(base: bytes, pieces: list[bytes | tuple[int, int]]) -> bytes:
    """New bytes and parts of the base."""
    return b"".join(piece if isinstance(piece, bytes) else base[piece[0] : sum(piece)] for piece in pieces)


@given(st.binary(max_size=400), PIECES)
def test_both_come_out_again(base: bytes, pieces: list[bytes | tuple[int, int]]) -> None:
    new = put_together(base, pieces)
    assert decode(DELTA, delta(base, new), len(new), base) == new
    assert decode(DEFLATE, deflate(new), len(new)) == new


def test_one_changed_function_is_a_few_hundred_bytes() -> None:
    chance = random.Random(3)
    base = chance.randbytes(200_000)
    new = base[:90_000] + chance.randbytes(150) + base[90_120:]  # everything behind it has moved
    assert len(delta(base, new)) < 300


def test_the_smallest_comes_first_and_the_plain_module_last_of_all_that_are_worth_it() -> None:
    base = random.Random(4).randbytes(5000)
    new = base + b"x" * 100
    ways = smallest(new, {b"digest": base})
    assert [way.kind for way in ways] == [DELTA, DEFLATE, PLAIN]
    assert ways[0].base == b"digest"
    assert [way.kind for way in smallest(base, {})] == [PLAIN]
    assert smallest(new, {b"digest": new})[0].kind == DEFLATE  # nothing changed: the device says so itself


@pytest.mark.parametrize(
    "steps",
    [b"\x05ab", b"\x80", b"\xff\xff\xff\xff\xff\x01", b"\0\x05\x01", b"\0\x05\xc0\x01", b"\0\x65\0", b"\0\x05"],
)
def test_steps_that_make_no_sense(steps: bytes) -> None:
    with pytest.raises(EncodingError):
        decode(DELTA, deflate(steps), 5, bytes(100))


async def test_the_next_version_goes_as_what_changed() -> None:
    device = SimulatedDevice()
    one = module("print 1", size=60_000)
    two = module("print 2", size=60_000)[:-60_000] or one.replace(b"print 1", b"print 2")
    kept = {hashlib.sha256(one).digest(): one}
    async with serve(device) as port, Device(port) as link:
        assert await link.upload(0, one) == len(one)  # nothing to compress in it
        await link.set_pending(hashlib.sha256(one).digest())
        await link.start(0)
        seen: list[int] = []
        assert await link.upload(0, two, seen.append, base=kept.get) < 500
        assert seen[-1] == len(two)
        assert device.slots[0].candidate == two
        three = one.replace(b"print 1", b"print 3")
        assert await link.upload(0, three) == len(three)  # the former version is not at hand


async def test_a_base_that_the_device_has_not_is_no_obstacle() -> None:
    device = SimulatedDevice()
    one = module("print 1", size=20_000)
    two = one.replace(b"print 1", b"print 2")
    async with serve(device) as port, Device(port) as link:
        await link.upload(0, one)
        await link.set_pending(hashlib.sha256(one).digest())
        await link.start(0)
        assert await link.upload(0, two, base=lambda _: one[1:]) >= len(two)  # a damaged cache
        assert device.slots[0].candidate == two


def test_the_example_of_the_protocol_page() -> None:
    page = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    match = re.search(r"^stream   ([0-9a-f ]+)$", page, re.MULTILINE)
    assert match is not None
    empty = b"\0asm\1\0\0\0"
    assert decode(DELTA, bytes.fromhex(match[1]), 11, empty) == empty + b"\0\1\0"
