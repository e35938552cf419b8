# SPDX-License-Identifier: Apache-2.0
"""Console framing: the same result whole and byte by byte, whatever surrounds or breaks a packet."""

from __future__ import annotations

import base64
import random
import re
from typing import TYPE_CHECKING

import cbor2
import pytest

from edge_engine.zig import ROOT
from tests.supervisor.device import READ, WRITE, Device, frame, message, unframe

if TYPE_CHECKING:
    from pathlib import Path

ECHO = message(WRITE, 0, 0, {"d": "hello"})
ECHOED = message(3, 0, 0, {"r": "hello"})


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("line", [None, 1, 2, 3, 4, 5, 7, 120, 124])
def test_lines_of_any_length(device: Device, line: int | None, bytewise: bool) -> None:
    assert unframe(device.feed(frame(ECHO, line), bytewise=bytewise)) == [ECHOED]


@pytest.mark.parametrize("line", [1, 2, 3, 4, 50])
def test_lines_padded_one_by_one(device: Device, line: int) -> None:
    assert unframe(device.feed(frame(ECHO, line, pad_lines=True))) == [ECHOED]


def test_several_packets_in_one_go(device: Device) -> None:
    assert unframe(device.feed(frame(ECHO) * 20)) == [ECHOED] * 20


def test_text_between_lines_is_ignored(device: Device) -> None:
    lines = frame(ECHO, 8).splitlines(keepends=True)
    noisy = b"boot text\n" + b"a line of text\n\x06 no marker\n\x04\x04".join(lines) + b"more text"
    assert unframe(device.feed(noisy)) == [ECHOED]


def test_carriage_returns_are_ignored(device: Device) -> None:
    assert unframe(device.feed(frame(ECHO, 8).replace(b"\n", b"\r\n"))) == [ECHOED]


@pytest.mark.parametrize("bytewise", [False, True])
def test_resync_after_damage(device: Device, bytewise: bool) -> None:
    good = frame(ECHO, 16)
    damaged = [
        good.replace(b"\x04\x14", b"\x04\x15", 1),  # a line lost its marker
        good[:20],  # cut off, the next start follows at once
        good[:-3] + b"!!\n",  # no base64
        b"\x06\x09\n",  # nothing
        b"\x06\x09////\n" + b"\x04\x14AAAA\n" * 3,  # a length that never comes
        b"\x04\x14" + good[2:],  # a continuation of nothing
        frame(ECHO)[:-9] + b"AAAAAAAA\n",  # CRC
        b"\x06\x06\x06",
    ]
    for bad in damaged:
        output = device.feed(bad + good, bytewise=bytewise)
        assert unframe(output) == [ECHOED], bad


def test_each_flipped_byte_is_no_other_message(device: Device) -> None:
    """Whatever single byte is changed, the device answers the message as sent or not at all, and then goes on."""
    good = frame(ECHO, 16)
    for at in range(len(good)):
        for change in (0x01, 0x20, 0x80):
            bad = bytearray(good)
            bad[at] ^= change
            answers = unframe(device.feed(bytes(bad) + b"\n" + good))
            assert answers[-1] == ECHOED
            assert set(answers) == {ECHOED}


def test_a_packet_that_is_too_long_is_dropped(device: Device) -> None:
    long = message(WRITE, 0, 0, {"d": "x" * 8300})
    assert unframe(device.feed(frame(long) + frame(ECHO))) == [ECHOED]


def test_the_longest_message_passes_both_ways(device: Device) -> None:
    text = "y" * (8192 - 8 - 6)
    request = message(WRITE, 0, 0, {"d": text})
    assert len(request) == 8192
    assert unframe(device.feed(frame(request, 120))) == [message(3, 0, 0, {"r": text})]


def test_whole_and_bytewise_agree_on_garbage(driver: Path) -> None:
    """Invariant: the output depends on the bytes, not on how they are cut."""
    rng = random.Random(20)
    whole, single = Device.start(driver), Device.start(driver)
    good = frame(ECHO, 24)
    for _ in range(200):
        data = b"".join(
            rng.choice(
                [
                    good,
                    good[: rng.randrange(len(good))],
                    rng.randbytes(rng.randrange(40)),
                    bytes(rng.choices(b"\x06\x09\x04\x14\nA=/", k=30)),
                ]
            )
            for _ in range(rng.randrange(1, 6))
        )
        assert whole.feed(data) == single.feed(data, bytewise=True)
    assert whole.stop() == single.stop() == 0


def test_tables_are_what_they_say() -> None:
    header = (ROOT / "sel4_bridge" / "supervisor" / "console_tables.h").read_text()

    def table(name: str) -> list[int]:
        return [int(n, 0) for n in re.split(r"[,\s]+", header.split(f"{name}[256] = {{")[1].split("}")[0]) if n]

    def crc(value: int) -> int:
        value <<= 8
        for _ in range(8):
            value = (value << 1 ^ (0x1021 if value & 0x8000 else 0)) & 0xFFFF
        return value

    assert table("sb_crc16_table") == [crc(i) for i in range(256)]
    digits = [base64.b64encode(bytes([i << 2]))[0] for i in range(64)]
    assert table("sb_base64_values") == [digits.index(i) if i in digits else 255 for i in range(256)]


def test_the_worked_example_of_the_protocol(device: Device) -> None:
    page = (ROOT / "docs" / "PROTOCOL.md").read_text()
    lines = [b"\x06\x09" + text.encode() + b"\n" for text in re.findall(r"06 09  (\S+)  0a", page)]
    assert len(lines) == 4
    assert device.feed(lines[0]) == lines[1]
    assert device.feed(lines[2]) == lines[3]
    for line, op in zip(lines, (WRITE, WRITE + 1, WRITE, WRITE + 1), strict=True):
        assert unframe(line)[0][0] == 0x08 | op
        spaced = unframe(line)[0].hex(" ")
        assert spaced in re.sub(r" +", " ", page)


def test_buffer_size_is_the_longest_message(device: Device) -> None:
    answer = unframe(device.feed(frame(message(READ, 0, 6))))[0]
    assert cbor2.loads(answer[8:]) == {"buf_size": 8192, "buf_count": 4}
