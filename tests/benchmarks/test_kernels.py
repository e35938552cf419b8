# SPDX-License-Identifier: Apache-2.0
"""The kernels compute what they say, and the same in every peer. Few rounds: nothing here looks at a clock."""

from __future__ import annotations

import binascii
import hashlib
from contextlib import AsyncExitStack

import pytest

from bench import BenchError
from bench.engine import build_runner
from bench.kernels import KERNELS, build, select
from bench.measure import KERNEL_FAILED, geomean, take_samples
from bench.peers import PEERS, Client

ROUNDS = {"sort": 2, "vm": 3, "lz": 2}


def _missing(peer: str) -> str | None:
    module = {"wasm3": "wasm3", "wasmtime": "wasmtime", "wasmtime-fuel": "wasmtime"}.get(peer)
    if module is None:
        return None
    try:
        __import__(module)
    except ImportError:
        return f"{module} is not installed (pip install -e '.[bench]')"
    return None


@pytest.fixture(scope="module")
def built():
    return build(KERNELS)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
async def test_every_peer_computes_what_native_code_does(built, peer):
    reason = _missing(peer.name)
    if reason:
        pytest.skip(reason)
    command = [str(build_runner(peer.runner)), *peer.options] if peer.runner else []
    async with AsyncExitStack() as stack:
        native = await stack.enter_async_context(Client(PEERS[0]))
        other = await stack.enter_async_context(Client(peer, command))
        for item in built:
            name = item.kernel.name
            rounds = ROUNDS.get(name, 5)
            await native.load(name, item.native)
            await other.load(name, peer.module(item))
            _, expected = await native.run(name, rounds)
            _, found = await other.run(name, rounds)
            assert expected != KERNEL_FAILED, name
            assert found == expected, name


async def _checksum(built, name, rounds):
    item = next(item for item in built if item.kernel.name == name)
    async with Client(PEERS[0]) as native:
        await native.load(name, item.native)
        return (await native.run(name, rounds))[1]


async def test_sha256_is_the_one_python_knows(built):
    message = bytes(32) + bytes(j & 255 for j in range(32, 1000))
    for _ in range(4):
        digest = hashlib.sha256(message).digest()
        message = digest + message[32:]
    assert await _checksum(built, "sha256", 4) == int.from_bytes(digest[:8], "big") & (2**63 - 1)


async def test_hash_kernel_checks_the_published_crc(built):
    assert binascii.crc32(b"123456789") == 0xCBF43926  # the constant that hash.c compares with
    assert await _checksum(built, "hash", 1) != KERNEL_FAILED


async def test_fib_adds_up(built):
    fib = {18: 2584, 19: 4181, 20: 6765}
    rounds = 7
    expected = sum(fib[18 + i % 3] + 2 * (20 + i % 5) + 3 for i in range(rounds))
    assert await _checksum(built, "fib", rounds) == expected


async def test_samples_are_taken_from_every_peer_in_every_round(built):
    chosen = [item for item in built if item.kernel.name in {"fib", "vm"}]
    async with Client(PEERS[0]) as native:
        times = await take_samples([native], chosen, rounds=3, scale=0.001)
    assert [item.name for item in times] == [item.kernel.name for item in chosen]
    assert all(len(item.samples_ns["c"]) == 3 * PEERS[0].extra_samples for item in times)


async def test_a_worker_that_refuses_says_why(tmp_path):
    empty = tmp_path / "empty.so"
    empty.write_bytes(b"")
    async with Client(PEERS[0]) as native:
        with pytest.raises(BenchError, match=r"empty\.so"):
            await native.load("empty", empty)
        assert (await native.version()).startswith("zig ")


def test_unknown_kernels_are_named():
    with pytest.raises(BenchError, match="nosuch"):
        select(["nosuch"])


def test_geometric_mean():
    assert geomean([1, 4]) == pytest.approx(2)
    with pytest.raises(BenchError):
        geomean([])
    with pytest.raises(BenchError):
        geomean([1, 0])
