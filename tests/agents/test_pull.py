# SPDX-License-Identifier: Apache-2.0
"""The puller gives out exactly the module, in order, over a bus that loses, doubles and reorders; and asks modestly."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.messages import Chunk, slice_module
from agent.pull import Puller


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(0, 3000),
    start=st.integers(0, 3000),
    chunk_size=st.integers(1, 300),
    window=st.integers(1, 20),
    loss=st.floats(0, 0.6),
    seed=st.integers(0, 1000),
)
def test_converges_to_the_module(size, start, chunk_size, window, loss, seed):
    chance = random.Random(seed)
    module = chance.randbytes(size)
    digest = hashlib.sha256(module).digest()
    start = min(start, size)
    puller = Puller(digest, size, start, chunk_size=chunk_size, window=window)
    got = bytearray(module[:start])
    bus: list[Chunk] = []
    now_s = 0.0
    for _ in range(20000):
        if puller.done:
            break
        get = puller.want(now_s)
        if get is not None and chance.random() >= loss:
            answers = [c for c in slice_module(module, digest, get) if chance.random() >= loss]
            bus += answers + [c for c in answers if chance.random() < 0.2]
            chance.shuffle(bus)
        if bus:
            got += puller.feed(bus.pop(), now_s)
            assert puller.asked - puller.offset <= (window + 1) * chunk_size
        else:
            now_s += puller.wait_s(now_s) + 0.001
    assert puller.done
    assert bytes(got) == module


def test_clean_bus_asks_for_each_byte_once():
    module = bytes(100_000)
    digest = hashlib.sha256(module).digest()
    puller = Puller(digest, len(module), 0)
    asked = 0
    queue: list[Chunk] = []
    while not puller.done:
        while (get := puller.want(0.0)) is not None:
            chunks = list(slice_module(module, digest, get))
            asked += sum(len(chunk.data) for chunk in chunks)
            queue += chunks
        puller.feed(queue.pop(0), 0.0)
    assert asked == len(module)


def test_strangers_are_ignored():
    puller = Puller(bytes(32), 100, 0, chunk_size=10, window=2)
    assert puller.want(0.0) is not None
    assert puller.feed(Chunk(b"x" * 32, 0, bytes(10)), 0) == b""
    assert puller.feed(Chunk(bytes(32), 50, bytes(10)), 0) == b""
    assert puller.feed(Chunk(bytes(32), 0, bytes(9)), 0) == b""
    assert puller.offset == 0
    assert puller.feed(Chunk(bytes(32), 0, bytes(10)), 0) == bytes(10)


def test_silence_is_asked_again_more_and_more_rarely():
    puller = Puller(bytes(32), 100, 0)
    now_s, times = 0.0, []
    for _ in range(6):
        assert puller.want(now_s) is not None
        assert puller.want(now_s) is None
        times.append(puller.wait_s(now_s))
        now_s += times[-1]
    assert times == [1, 2, 4, 8, 8, 8]


def test_offset_past_the_end_is_a_bug():
    with pytest.raises(ValueError, match="offset"):
        Puller(bytes(32), 10, 11)
