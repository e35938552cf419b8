# SPDX-License-Identifier: Apache-2.0
"""Cells with parity on the device's own C code, beside the agent's: any k of them, damage, noise, answers in kind."""

from __future__ import annotations

import binascii
import random

import pytest

from agent.link.cells import CELL_CODES, CLASSES, LEAST_SIZE, MOST_DATA, MOST_SIZE, Way, cells_of, wire_of
from agent.link.cobs import cobs_encode
from agent.link.cobs import frame as cobs
from agent.link.frames import FrameDecoder, Message
from tests.supervisor.device import READ, WRITE, Device, frame, message

ECHO = message(WRITE, 0, 0, {"d": "hello"})
ECHOED = message(3, 0, 0, {"r": "hello"})


def in_cells(request: bytes, way: Way, number: int = 0) -> bytes:
    return wire_of(cells_of(request, way, number=number, report=0)[1])


def answers(data: bytes) -> list[Message]:
    return [event for event in FrameDecoder().feed(data) if isinstance(event, Message)]


def raw_cell(first: int, k: int, index: int, data: bytes) -> bytes:
    cell = bytes([first, k, index]) + data
    return wire_of([cell + binascii.crc_hqx(cell, 0xFFFF).to_bytes(2, "big")])


@pytest.mark.parametrize("bytewise", [False, True])
def test_each_is_answered_in_its_own_framing(device: Device, bytewise: bool) -> None:
    sent = b"text\n" + cobs(ECHO) + in_cells(ECHO, Way(9, 3)) + frame(ECHO, 16) + in_cells(ECHO, Way(20, 0), 1)
    got = [(event.data, event.cobs, event.way) for event in answers(device.feed(sent, bytewise=bytewise))]
    assert got == [
        (ECHOED, True, None),
        (ECHOED, True, Way(9, 3)),
        (ECHOED, False, None),
        (ECHOED, True, Way(20, 0)),
    ]


@pytest.mark.parametrize("loss_class", range(CLASSES))
@pytest.mark.parametrize("size", [LEAST_SIZE, 23, MOST_SIZE])
def test_any_k_cells_of_messages_of_any_size(device: Device, size: int, loss_class: int) -> None:
    chance = random.Random(size * CLASSES + loss_class)
    for number, length in enumerate((0, 1, 20, 300, 900, 2000, 8178)):
        text = "".join(chance.choices("\0ab", k=length))
        request = message(WRITE, 0, 0, {"d": text})
        k, cells = cells_of(request, Way(size, loss_class), number=number, report=0)
        got = answers(device.feed(wire_of(chance.sample(cells, k))))
        assert [event.data for event in got] == [message(3, 0, 0, {"r": text})], length
        assert got[0].way is not None
        assert got[0].way.loss_class == loss_class


def test_the_device_makes_the_same_cells(device: Device) -> None:
    for number in range(60):
        way = Way(8 + min(number, 40), number % CLASSES)
        got = device.feed(in_cells(ECHO, way, number % 32))
        report = answers(got)[0].report
        assert got == wire_of(cells_of(ECHOED, way, number=number % 32, report=report)[1])
    assert report == 255  # by now it has measured


@pytest.mark.parametrize("share", [0.3, 0.75])
def test_the_device_reports_what_arrives(device: Device, share: float) -> None:
    chance = random.Random(1)
    reports = []
    for number in range(60):
        _, cells = cells_of(message(WRITE, 0, 0, {"d": "x" * 200}), Way(9, 7), number=number % 32, report=0)
        reports += [e.report for e in answers(device.feed(wire_of([c for c in cells if chance.random() < share])))]
    assert abs(reports[-1] / 255 - share) < 0.07


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("fault", ["lost", "changed", "doubled", "swapped"])
def test_damage_costs_cells_and_no_message(device: Device, bytewise: bool, fault: str) -> None:
    """One byte of a frame that has three cells to spare, or any number of them near each other."""
    for at in range(len(in_cells(ECHO, Way(9, 4))) - 1):
        bad = bytearray(in_cells(ECHO, Way(9, 4), at % 32))
        if fault == "lost":
            del bad[at]
        elif fault == "doubled":
            bad.insert(at, bad[at])
        elif fault == "swapped":
            bad[at], bad[at + 1] = bad[at + 1], bad[at]
        else:
            bad[at] ^= 1 << at % 8
        got = answers(device.feed(bytes(bad) + b"\0" + cobs(ECHO), bytewise=bytewise))
        assert [event.data for event in got] == [ECHOED, ECHOED]


def test_nothing_is_given_twice(device: Device) -> None:
    """A cell that looks like one of another frame comes between more cells than are needed."""
    k, cells = cells_of(ECHO, Way(8, 6), number=4, report=0)
    _, others = cells_of(ECHO, Way(8, 6), number=6, report=0)
    sent = [*cells[:k], others[0], *cells[k : 2 * k]]
    assert [event.data for event in answers(device.feed(wire_of(sent)))] == [ECHOED]


def test_noise_and_lying_cells(device: Device) -> None:
    """Cells with good checksums and any content: never a message, and the next frame is heard."""
    chance = random.Random(3)
    for number in range(300):
        k = chance.choice((0, 1, 2, 5, 100, MOST_DATA, MOST_DATA + 1, 255))
        size = chance.choice((0, 1, LEAST_SIZE - 1, LEAST_SIZE, 20, MOST_SIZE, MOST_SIZE + 1))
        first = chance.randrange(256)
        indexes = chance.sample(range(256), min(256, k + 1))
        noise = b"".join(raw_cell(first, k, index, chance.randbytes(size)) for index in indexes)
        noise += bytes(chance.choice((0, 1, 2, 6, 9, *CELL_CODES[:3], chance.randrange(256))) for _ in range(100))
        got = answers(device.feed(noise + b"\0\n\0" + cobs(ECHO)))
        assert [event.data for event in got] == [ECHOED], number


def test_lengths_that_lie(device: Device) -> None:
    """The content says that its message is longer than it is, with a good CRC-16 and, as far as it goes, CRC-32C."""
    for length in (15, 16, 17, 8192, 8193, 65535):
        data = length.to_bytes(2, "big") + ECHO
        data = data.ljust(24, b"\0")
        sent = b"".join(raw_cell(8, 3, index, data[8 * index : 8 * index + 8]) for index in range(3))
        assert [event.data for event in answers(device.feed(sent + cobs(ECHO)))] == [ECHOED]


def test_stuffing_that_lies(device: Device) -> None:
    for noise in (
        b"\x80",
        b"\xbf",
        b"\x81\x01\x01",
        b"\xbf" + b"\x01" * 61,
        b"\x81" + b"\xff" * 61,
        b"\xa0" + b"\1" * 90,
    ):
        assert [event.data for event in answers(device.feed(b"\0" + noise + b"\0" + cobs(ECHO)))] == [ECHOED]


def test_whole_and_bytewise_agree_on_anything(driver: object) -> None:
    """Invariant: the output depends on the bytes, not on how they are cut."""
    chance = random.Random(20)
    whole, single = Device.start(driver), Device.start(driver)  # type: ignore[arg-type]
    for _ in range(150):
        pieces = []
        for _ in range(chance.randrange(1, 5)):
            way = Way(chance.randrange(LEAST_SIZE, MOST_SIZE + 1), chance.randrange(CLASSES))
            wire = bytearray(in_cells(ECHO, way, chance.randrange(32)))
            for _ in range(chance.randrange(4)):
                at = chance.randrange(len(wire))
                wire[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
            pieces.append(bytes(wire))
            pieces.append(chance.choice((b"", b"text\n", cobs(ECHO), frame(ECHO, 8), bytes([1, 0, 0x81]))))
        data = b"".join(pieces)
        assert whole.feed(data) == single.feed(data, bytewise=True)
    assert whole.stop() == single.stop() == 0


def test_frames_that_lack_too_many_cells_are_counted(device: Device) -> None:
    before = device.request(READ, 64, 4, {"slot": 0})
    k, cells = cells_of(ECHO, Way(8, 5), number=0, report=0)
    device.feed(wire_of(cells[: k - 1]) + in_cells(ECHO, Way(8, 5), 2) + in_cells(ECHO, Way(8, 5), 4))
    after = device.request(READ, 64, 4, {"slot": 0})
    assert (after["frames"] - before["frames"], after["frames_broken"] - before["frames_broken"]) == (2, 1)


def test_a_cell_is_no_frame_of_another_kind() -> None:
    assert all(code not in (0, 1, 2, 4, 6, 10) for code in CELL_CODES)
    assert cobs_encode(bytes(MOST_SIZE + 5))[0] == 1
