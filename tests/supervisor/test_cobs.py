# SPDX-License-Identifier: Apache-2.0
"""COBS frames on the device's own C code: the same result whole and byte by byte, beside console lines and text."""

from __future__ import annotations

import random
import re

import google_crc32c
import pytest

from agent.link.cobs import frame as cobs
from agent.link.frames import FrameDecoder, Message
from tests.supervisor.device import READ, WRITE, Device, frame, message

ECHO = message(WRITE, 0, 0, {"d": "hello"})
ECHOED = message(3, 0, 0, {"r": "hello"})


def answers(data: bytes) -> list[tuple[bytes, bool]]:
    return [(event.data, event.cobs) for event in FrameDecoder().feed(data) if isinstance(event, Message)]


@pytest.mark.parametrize("bytewise", [False, True])
def test_each_is_answered_in_its_own_framing(device: Device, bytewise: bool) -> None:
    sent = b"text\n" + cobs(ECHO) + frame(ECHO, 16) + b"06 09 \x01\x02 text" + cobs(ECHO) + cobs(ECHO) + frame(ECHO)
    got = answers(device.feed(sent, bytewise=bytewise))
    assert got == [(ECHOED, True), (ECHOED, False), (ECHOED, True), (ECHOED, True), (ECHOED, False)]


@pytest.mark.parametrize("size", [*range(250, 262), 503, 504, 505, 506, 507, 508, 509, 4000, 8170])
def test_messages_of_any_size_and_content(device: Device, size: int) -> None:
    for fill in ("x", "\0", None):
        text = fill * size if fill else "".join(random.Random(size).choices("\0ab", k=size))
        request = message(WRITE, 0, 0, {"d": text})
        if len(request) <= 8192 - 4:
            assert answers(device.feed(cobs(request))) == [(message(3, 0, 0, {"r": text}), True)]


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("fault", ["lost", "changed", "doubled"])
def test_damage(device: Device, bytewise: bool, fault: str) -> None:
    """Whatever a byte becomes, the next frame of either kind is heard, and nothing but what was sent."""
    good = cobs(ECHO)
    for at in range(len(good)):
        for following in (cobs(ECHO), frame(ECHO, 16)):
            bad = bytearray(good)
            if fault == "lost":
                del bad[at]
            elif fault == "doubled":
                bad.insert(at, bad[at])
            else:
                bad[at] ^= 1 << at % 8
            got = answers(device.feed(bytes(bad) + following, bytewise=bytewise))
            if fault != "doubled" and at == len(good) - 1 and following[0] != 0:
                # without its end the frame takes the console line with it; the one after is heard
                assert answers(device.feed(b"\0" + following)) == [(ECHOED, False)]
                continue
            assert got[-1][0] == ECHOED
            assert {answer for answer, _ in got} == {ECHOED}


def test_too_long(device: Device) -> None:
    for size in (8190, 8192, 9000, 65_000):
        long = message(WRITE, 0, 0, {"d": "x" * size})
        assert answers(device.feed(cobs(long) + cobs(ECHO))) == [(ECHOED, True)]


def test_a_frame_between_the_lines_of_a_packet_abandons_it(device: Device) -> None:
    lines = frame(ECHO, 8).splitlines(keepends=True)
    got = answers(device.feed(lines[0] + cobs(ECHO) + b"".join(lines[1:]) + frame(ECHO)))
    assert got == [(ECHOED, True), (ECHOED, False)]


def test_random_bytes(device: Device) -> None:
    chance = random.Random(11)
    for _ in range(200):
        noise = bytes(chance.choice((0, 1, 2, 6, 9, 4, 20, 10, chance.randrange(256))) for _ in range(300))
        whole = answers(device.feed(noise + b"\0\n\0" + cobs(ECHO)))
        assert whole[-1] == (ECHOED, True)


def test_broken_frames_are_counted(device: Device) -> None:
    before = device.request(READ, 64, 4, {"slot": 0})
    device.feed(cobs(ECHO)[:-2] + b"\x55\0" + cobs(ECHO))
    after = device.request(READ, 64, 4, {"slot": 0})
    assert (after["frames"] - before["frames"], after["frames_broken"] - before["frames_broken"]) == (1, 1)


def test_the_crc_is_crc_32c() -> None:
    assert google_crc32c.value(b"123456789") == 0xE3069283  # RFC 3720, and what `cobs` above uses
    assert re.fullmatch(rb"\0[\1\2][^\0]+\0", cobs(ECHO), re.DOTALL)
