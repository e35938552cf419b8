# SPDX-License-Identifier: Apache-2.0
"""The same kernels in the same runners on aarch64 under QEMU, on a bare machine."""

from __future__ import annotations

import shutil
from contextlib import AsyncExitStack

import pytest

from bench import BenchError
from bench.bare import BARE_PEERS, QEMU, bare_command
from bench.kernels import KERNELS, build, select
from bench.measure import KERNEL_FAILED
from bench.peers import PEERS, Client

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed"),
]


async def test_every_kernel_computes_on_aarch64_what_it_does_here():
    built = build(KERNELS)
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(Client(PEERS[0]))
        there = [
            await stack.enter_async_context(Client(peer, bare_command(peer)))
            for peer in BARE_PEERS
            if peer.name in {"c", "wasel"}
        ]
        for item in built:
            name = item.kernel.name
            await here.load(name, item.native)
            _, expected = await here.run(name, 2)
            assert expected != KERNEL_FAILED
            for client in there:
                await client.load(name, item.wasm)
                assert (await client.run(name, 2))[1] == expected, (client.peer.name, name)


async def test_instructions_are_counted_and_repeat():
    (fib,) = build(select(["fib"]))
    peer = BARE_PEERS[0]
    counts = []
    async with Client(peer, bare_command(peer, count_instructions=True)) as client:
        await client.load("fib", fib.wasm)
        await client.run("fib", 3)
        counts = [(await client.run("fib", rounds))[0] for rounds in (3, 3, 6)]
    assert abs(counts[0] - counts[1]) <= 64  # the timer ticks every 16 instructions
    assert 1.8 < counts[2] / counts[0] < 2.2


async def test_a_file_that_is_not_there_is_named(tmp_path):
    peer = next(peer for peer in BARE_PEERS if peer.name == "wasel")
    async with Client(peer, bare_command(peer)) as client:
        with pytest.raises(BenchError, match="absent"):
            await client.load("absent", tmp_path / "absent.wasm")
        broken = tmp_path / "broken.wasm"
        broken.write_bytes(b"\0asm\x01\0\0\0\x01")
        with pytest.raises(BenchError, match="offset"):
            await client.load("broken", broken)
