# SPDX-License-Identifier: Apache-2.0
"""Cells with parity: any k of them give the message, damage costs cells, and they share a line with everything else."""

from __future__ import annotations

import random
import re
from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.link.cells import (
    CELL_CODES,
    CELL_OVERHEAD,
    CLASSES,
    FAILURES,
    LEAST_SIZE,
    MOST_CELLS,
    MOST_DATA,
    MOST_SIZE,
    MOST_WIRE,
    SURVIVALS,
    Cells,
    Content,
    Way,
    cell_count,
    cell_counts,
    cells_of,
    gf_tables,
    most_message,
    wire_of,
)
from agent.link.cobs import cobs_encode, frame
from agent.link.frames import BadFrame, FrameDecoder, Message, Text, encode_frames
from edge_engine.zig import ROOT
from tests.agents.wire import LINE, SMP, events_of

WAYS = st.builds(Way, st.integers(LEAST_SIZE, MOST_SIZE), st.integers(0, CLASSES - 1))


def in_cells(message: bytes, way: Way, number: int = 0, report: int = 0) -> bytes:
    return wire_of(cells_of(message, way, number=number, report=report)[1])


def stuffed(cell: bytes) -> bytes:
    wire = wire_of([cell])
    return wire[1:-1]


@given(st.binary(max_size=1500), WAYS, st.integers(0, 31), st.integers(0, 255), st.randoms(use_true_random=False))
def test_any_k_cells_give_the_message(
    message: bytes, way: Way, number: int, report: int, chance: random.Random
) -> None:
    k, cells = cells_of(message, way, number=number, report=report)
    size = len(cells[0]) - 5
    chosen = chance.sample(cells, k)
    receiver = Cells()
    assert [receiver.take(stuffed(cell)) for cell in chosen[:-1]] == [None] * (k - 1)
    assert receiver.take(stuffed(chosen[-1])) == Content(message, report, Way(size, way.loss_class))
    assert all(receiver.take(stuffed(cell)) is None for cell in cells)  # what comes later is no second message


def test_the_longest_message_fits() -> None:
    message = random.Random(1).randbytes(8192)
    for way in (Way(LEAST_SIZE, 0), Way(MOST_SIZE, CLASSES - 1), Way(30, 3)):
        wire = in_cells(message, way)
        assert len(wire) <= MOST_WIRE + 1
        assert [event.data for event in events_of(wire) if isinstance(event, Message)] == [message]
    with pytest.raises(ValueError, match="does not fit"):
        in_cells(bytes(MOST_DATA * MOST_SIZE), Way(8, 0))


@pytest.mark.parametrize("loss_class", range(CLASSES))
def test_counts_are_what_they_say(loss_class: int) -> None:
    """The least count with which fewer than k arrive once in 200; exactly, and not by a hair."""
    share = Fraction(SURVIVALS[loss_class], 100)

    def failure(count: int, k: int) -> Fraction:
        return sum(
            (comb(count, i) * share**i * (1 - share) ** (count - i) for i in range(min(k, count + 1))), Fraction(0)
        )

    for k in (1, 2, 3, 7, 20, 45, 60, 100, MOST_DATA):
        count = cell_counts(loss_class)[k - 1]
        assert count <= MOST_CELLS
        if count < MOST_CELLS:
            assert failure(count, k) * FAILURES < Fraction(999_999, 1_000_000)
        assert failure(count - 1, k) * FAILURES > Fraction(1_000_001, 1_000_000)
        assert cell_count(loss_class, k, 56) == min(count, MOST_WIRE // (56 + CELL_OVERHEAD))


def test_the_longest_message_that_has_all_its_parity() -> None:
    for loss_class in range(CLASSES):
        for size in (LEAST_SIZE, 23, MOST_SIZE):
            length = most_message(Way(size, loss_class))
            k, cells = cells_of(bytes(length), Way(size, loss_class), number=0, report=0)
            assert len(cells) == cell_counts(loss_class)[k - 1] < MOST_CELLS


def test_gf_is_a_field() -> None:
    powers, logs = gf_tables()
    assert sorted(powers[:255]) == list(range(1, 256))
    assert all(powers[logs[value]] == value for value in range(1, 256))
    assert all(powers[i + 1] == powers[i] << 1 & 0xFF ^ (0x1D if powers[i] & 0x80 else 0) for i in range(254))


@given(
    st.lists(st.one_of(SMP.map(frame), SMP.map(encode_frames), LINE, st.tuples(SMP, WAYS)), max_size=8),
    st.integers(1, 9),
)
def test_all_framings_and_text_share_a_line(pieces: list[bytes | tuple[bytes, Way]], step: int) -> None:
    wires, messages, lines = [], [], []
    for number, piece in enumerate(pieces):
        if isinstance(piece, tuple):
            wires.append(in_cells(*piece, number=number))
            messages.append(piece[0])
        else:
            wires.append(piece)
            found = [event.data for event in events_of(piece) if isinstance(event, Message)]
            messages += found
            lines += [] if found else [piece]
    data = b"".join(wires)
    events = events_of(data)
    assert events == events_of(data, step)
    assert [event.data for event in events if isinstance(event, Message)] == messages
    assert not any(isinstance(event, BadFrame) for event in events)
    text = b"".join(event.data + b"\n" * event.ends_line for event in events if isinstance(event, Text))
    assert text == b"".join(lines)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), min_size=1, max_size=30))
def test_text_behind_a_frame_is_text(text: str) -> None:
    assert text.encode()[0] not in CELL_CODES
    events = events_of(in_cells(b"\0" * 8, Way(8, 0)) + text.encode() + b"\n")
    assert [event for event in events if isinstance(event, Text)] == [Text(text.encode(), ends_line=True)]


@pytest.mark.parametrize(
    ("rate", "way", "length"), [(0.001, Way(56, 2), 1500), (0.01, Way(23, 4), 1500), (0.05, Way(9, 7), 300)]
)
@pytest.mark.parametrize("kind", ["lost", "flipped", "doubled", "swapped"])
def test_bad_lines(rate: float, way: Way, length: int, kind: str) -> None:
    """Nearly all frames come through, nothing comes that was not sent, and the share of cells is measured."""
    chance = random.Random(f"{rate} {kind}")
    sent = [chance.randbytes(length) for _ in range(60)]
    wire = b"".join(in_cells(message, way, number % 32) for number, message in enumerate(sent))
    bad = bytearray()
    at = 0
    while at < len(wire):
        piece = wire[at : at + 1]
        if chance.random() < rate:
            if kind == "lost":
                piece = b""
            elif kind == "flipped":
                piece = bytes([piece[0] ^ 1 << chance.randrange(8)])
            elif kind == "doubled":
                piece *= 2
            else:
                piece = wire[at + 1 : at + 2] + piece
                at += 1
        bad += piece
        at += 1
    decoder = FrameDecoder()
    got = [event.data for event in decoder.feed(bytes(bad)) if isinstance(event, Message)]
    assert set(got) <= set(sent)
    assert len(got) == len(set(got)) >= 57
    expected = (1 - rate) ** (way.size + CELL_OVERHEAD + 1)
    assert abs(decoder.cells.report / 255 - expected) < 0.12


def test_cells_of_a_former_frame_do_no_harm() -> None:
    """A frame that never became whole, and then another of the same number."""
    way = Way(16, 3)
    old, new = cells_of(b"o" * 100, way, number=4, report=0), cells_of(b"n" * 300, way, number=4, report=0)
    receiver = Cells()
    for cell in old[1][: old[0] - 1]:
        assert receiver.take(stuffed(cell)) is None
    got = [content for cell in new[1] if (content := receiver.take(stuffed(cell))) is not None]
    assert [content.message for content in got] == [b"n" * 300]
    assert receiver.broken == 1


def test_nothing_is_given_twice() -> None:
    """A cell that looks like one of another frame comes between more cells than are needed."""
    k, cells = cells_of(b"x" * 30, Way(8, 6), number=4, report=0)
    _, others = cells_of(b"x" * 30, Way(8, 6), number=6, report=0)
    receiver = Cells()
    got = [receiver.take(stuffed(cell)) for cell in (*cells[:k], others[0], *cells[k : 2 * k])]
    assert [content.message for content in got if content] == [b"x" * 30]


def test_garbage_makes_no_message_and_ends() -> None:
    chance = random.Random(7)
    message = b"\2\0" + b"x" * 10
    for _ in range(300):
        noise = bytes(chance.choice((0, 0x80, 0x81, 0xBF, chance.randrange(256))) for _ in range(400))
        decoder = FrameDecoder()
        assert [e for e in decoder.feed(noise) if isinstance(e, Message)] == []
        got = decoder.feed(b"\n\0" + in_cells(message, Way(20, 2)))
        assert [e.data for e in got if isinstance(e, Message)] == [message]


def test_what_is_no_cell() -> None:
    receiver = Cells()
    (cell, *_) = cells_of(b"x" * 30, Way(16, 0), number=0, report=0)[1]
    for bad in (cell[:-1], cell + b"\1", cell[:5] + cell[6:], b"", b"\0" * 21, cell[:1] + b"\0" + cell[2:]):
        wire = bytearray(cobs_encode(bad))
        wire[0] |= 0x80
        assert receiver.take(bytes(wire)) is None
    assert receiver.take(b"\x80") is None
    assert receiver.take(b"\xbf\1\2") is None
    assert receiver.report == 0


def test_the_example_of_the_protocol_page() -> None:
    page = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^cells    ([0-9a-f ]+)\n((?:         [0-9a-f ]+\n)+)message  ([0-9a-f ]+?)(?:   .*)?$", page, re.MULTILINE
    )
    assert len(rows) == 1
    first, rest, message = rows[0]
    assert in_cells(bytes.fromhex(message), Way(8, 2), 5, 255) == bytes.fromhex(first + rest.replace("\n", " "))
