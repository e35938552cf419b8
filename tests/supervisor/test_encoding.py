# SPDX-License-Identifier: Apache-2.0
"""Compressed modules and deltas on the device's own C code, under sanitizers: zlib's streams, hostile ones, deltas."""

from __future__ import annotations

import hashlib
import random
import zlib
from typing import Any

import pytest

from agent.link.encoding import deflate, delta
from sel4_bridge.system import MODULE_SIZE
from tests.supervisor.device import STATE_EXITED, WRITE, Device

DEFLATE, DELTA = 1, 2
INVALID_HASH, HASH_NOT_FOUND, NO_FREE_SLOT, INVALID_LENGTH, TOO_LARGE = 24, 8, 9, 21, 30


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def send(device: Device, data: bytes, module: bytes, *, chunk: int = 4000, **more: Any) -> Any:
    """Upload `data`, which stands for `module`; the last answer."""
    first = {"image": 0, "off": 0, "len": len(data), "sha": sha(module), "size": len(module), "data": data[:chunk]}
    answer = device.request(WRITE, 1, 1, first | more)
    while "off" in answer and answer["off"] < len(data):
        offset = answer["off"]
        answer = device.request(WRITE, 1, 1, {"off": offset, "data": data[offset : offset + chunk]})
    return answer


def error(code: int) -> dict[str, Any]:
    return {"err": {"group": 1, "rc": code}}


def candidate(device: Device) -> bytes:
    """The bytes of the whole candidate, by starting it."""
    device.request(WRITE, 1, 0, {"hash": device.slot()["candidate"]["digest"], "confirm": True})
    device.request(WRITE, 64, 1, {"slot": 0})
    control = device.control(0)
    device.engine_says(STATE_EXITED)
    return device.command("o", b"\0")[control["offset"] :][: control["size"]]


def texts() -> list[bytes]:
    chance = random.Random(5)
    return [
        b"\0asm",
        bytes(300_000),
        chance.randbytes(70_000),
        b"".join(chance.choice((b"abc", b"local.get ", b"\0\1\2")) for _ in range(40_000)),
        b"".join(chance.randbytes(3) + b"x" * chance.randrange(300) for _ in range(500)),
    ]


@pytest.mark.parametrize("level", [0, 1, 6, 9])
@pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY, zlib.Z_RLE])
def test_whatever_zlib_makes(device: Device, level: int, strategy: int) -> None:
    for module in texts():
        packer = zlib.compressobj(level, zlib.DEFLATED, -15, strategy=strategy)
        data = packer.compress(module[:1000]) + packer.flush(zlib.Z_FULL_FLUSH) + packer.compress(module[1000:])
        data += packer.flush()
        assert send(device, data, module, enc=DEFLATE) == {"off": len(data), "match": True}
        assert candidate(device) == module
        device.request(WRITE, 1, 5, {"slot": 0})


def test_deltas_against_the_active_module_wherever_it_lies(device: Device) -> None:
    chance = random.Random(8)
    active = chance.randbytes(50_000)
    device.upload(active)
    device.request(WRITE, 64, 1, {"slot": 0})
    device.engine_says(STATE_EXITED)
    for size in (10, 60_000, 49_000, 200_000):
        at = chance.randrange(len(active))
        new = (active[at : at + 9000] + chance.randbytes(size) + active[:at])[: size + 100]
        data = delta(active, new)
        assert send(device, data, new, enc=DELTA, base=sha(active)) == {"off": len(data), "match": True}
        assert candidate(device) == new
        active = new


def test_a_delta_needs_its_base(device: Device) -> None:
    active, new = b"\0asm" + bytes(1000), b"\0asm" + bytes(900) + b"new"
    data = delta(active, new)
    assert send(device, data, new, enc=DELTA, base=sha(active)) == error(HASH_NOT_FOUND)
    device.upload(active)
    device.request(WRITE, 64, 1, {"slot": 0})
    device.engine_says(STATE_EXITED)
    for base in (sha(new), sha(active)[:-1], b""):
        assert send(device, data, new, enc=DELTA, base=base) == error(HASH_NOT_FOUND)
    assert send(device, data, new, enc=DELTA) == error(HASH_NOT_FOUND)
    assert send(device, data, new, enc=DELTA, base=sha(active))["match"] is True


def test_what_is_said_must_come_out(device: Device) -> None:
    module = bytes(5000) + b"end"
    data = deflate(module)
    assert send(device, data, module, enc=DEFLATE, size=len(module) - 1) == error(INVALID_HASH)
    assert send(device, data, module, enc=DEFLATE, size=len(module) + 1) == error(INVALID_HASH)
    assert send(device, data + b"\0", module, enc=DEFLATE) == error(INVALID_HASH)
    assert send(device, data[:-1], module, enc=DEFLATE) == error(INVALID_HASH)
    assert send(device, data, module, enc=DEFLATE, sha=sha(b"else")) == error(INVALID_HASH)
    assert send(device, data, module, enc=DEFLATE, size=0) == error(INVALID_LENGTH)
    assert send(device, data, module, enc=DEFLATE, size=MODULE_SIZE + 1) == error(TOO_LARGE)
    assert send(device, data, module, enc=DEFLATE, size=MODULE_SIZE) == error(NO_FREE_SLOT)  # no room beside it
    assert send(device, data, module, enc=3) == {"rc": 3}
    assert "candidate" not in device.slot()
    assert "upload" not in device.slot()
    assert send(device, data, module, enc=DEFLATE)["match"] is True


def test_hostile_streams_end_without_harm(device: Device) -> None:
    """Damaged streams and steps: refused, nothing read or written outside, the active module stays."""
    chance = random.Random(21)
    active = chance.randbytes(3000) * 2
    device.upload(active)
    device.request(WRITE, 64, 1, {"slot": 0})
    new = active[1000:5000] + b"new" * 50 + active[:2000]
    good = {DEFLATE: deflate(new), DELTA: delta(active, new)}
    for number in range(600):
        kind = chance.choice((DEFLATE, DELTA))
        data = bytearray(good[kind])
        match number % 4:
            case 0:
                data = bytearray(deflate(chance.randbytes(chance.randrange(60))))  # steps without sense
            case 1:
                data = bytearray(chance.randbytes(chance.randrange(1, 80)))
            case _:
                for _ in range(chance.randrange(1, 4)):
                    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        answer = send(device, bytes(data), new, enc=kind, base=sha(active))
        assert answer == error(INVALID_HASH) or answer["match"] is True
    region = device.command("o", b"\0")
    assert region[: len(active)] == active
    assert device.slot()["digest"] == sha(active)


def test_far_copies_of_a_delta_are_refused(device: Device) -> None:
    active = bytes(range(256)) * 4
    device.upload(active)
    device.request(WRITE, 64, 1, {"slot": 0})
    for steps in (
        b"\0\x10\x81\x10",  # back beyond the beginning
        b"\0\x10\x80\x10",  # 1024 forward, nothing is left there
        b"\0\x81\x08\0",  # 1025 bytes
        b"\0\xff\xff\xff\xff\x0f\0",
        b"\0\x10\xff\xff\xff\xff\x0f",
        b"\0\x10\xfe\xff\xff\xff\x0f",
        b"\0\xff\xff\xff\xff\x10\0",  # a number of 33 bits
    ):
        assert send(device, deflate(steps), bytes(16), enc=DELTA, base=sha(active)) == error(INVALID_HASH)
