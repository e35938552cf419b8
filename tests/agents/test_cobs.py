# SPDX-License-Identifier: Apache-2.0
"""COBS frames: what goes in comes out, no zero inside, and they share a line with console frames and text."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.link.cobs import CobsError, cobs_decode, cobs_encode, frame, unframe
from agent.link.frames import BadFrame, FrameDecoder, Message, Text, encode_frames
from edge_engine.zig import ROOT
from tests.agents.wire import LINE, SMP, events_of


@given(st.binary(max_size=2000))
def test_encoding_and_back(data: bytes) -> None:
    encoded = cobs_encode(data)
    assert 0 not in encoded
    assert len(encoded) <= len(data) + len(data) // 254 + 1
    assert cobs_decode(encoded) == data


@pytest.mark.parametrize(
    ("data", "encoded"),
    [  # the examples of the paper and of everybody's tests
        ("", "01"),
        ("00", "0101"),
        ("0000", "010101"),
        ("001100", "01021101"),
        ("11223300 44", "0411223302 44"),
        ("11000000", "0211010101"),
        ("01" * 254, "ff" + "01" * 254),
        ("01" * 255, "ff" + "01" * 254 + "0201"),
        ("00" + "01" * 254, "01ff" + "01" * 254),
        ("01" * 254 + "00", "ff" + "01" * 254 + "0101"),
    ],
)
def test_known_encodings(data: str, encoded: str) -> None:
    assert cobs_encode(bytes.fromhex(data)) == bytes.fromhex(encoded)
    assert cobs_decode(bytes.fromhex(encoded)) == bytes.fromhex(data)


@given(st.lists(st.one_of(SMP.map(frame), SMP.map(encode_frames), LINE), max_size=12), st.integers(1, 9))
def test_frames_lines_and_text_share_a_line(pieces: list[bytes], step: int) -> None:
    data = b"".join(pieces)
    events = events_of(data)
    assert events == events_of(data, step)
    assert not any(isinstance(event, BadFrame) for event in events)
    sent = [piece for piece in pieces if not piece.endswith(b"\n") or piece.startswith(b"\x06\x09")]
    again = [frame(e.data) if e.cobs else encode_frames(e.data) for e in events if isinstance(e, Message)]
    assert again == sent
    text = b"".join(event.data + b"\n" * event.ends_line for event in events if isinstance(event, Text))
    assert text == b"".join(piece for piece in pieces if piece not in sent)


@given(st.lists(SMP, min_size=3, max_size=3), st.data())
def test_damage_costs_no_more_than_its_neighbours(messages: list[bytes], data: st.DataObject) -> None:
    """A byte lost, changed or doubled: the last frame comes through, and nothing comes that was not sent."""
    first, second, last = (frame(message) for message in messages)
    bad = bytearray(first + second)
    at = data.draw(st.integers(0, len(bad) - 1))
    match data.draw(st.sampled_from(["lost", "changed", "doubled"])):
        case "lost":
            del bad[at]
        case "changed":
            bad[at] ^= data.draw(st.integers(1, 255))
        case _:
            bad.insert(at, bad[at])
    got = [event.data for event in events_of(bytes(bad) + last) if isinstance(event, Message)]
    assert got[-1] == messages[2]
    assert set(got) <= set(messages)


def test_garbage_makes_no_message_and_ends() -> None:
    chance = random.Random(7)
    for _ in range(300):
        noise = chance.randbytes(chance.randrange(400))
        decoder = FrameDecoder()
        assert [e for e in decoder.feed(noise) if isinstance(e, Message)] == []
        got = decoder.feed(b"\n\0" + frame(b"\2\0" + b"x" * 10))
        assert [e.data for e in got if isinstance(e, Message)] == [b"\2\0" + b"x" * 10]


def test_a_frame_without_end_is_dropped_somewhere() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(b"\0\x02" + b"x" * 70_000)[0] == BadFrame("frame over 66000 bytes")


@pytest.mark.parametrize("data", [b"", b"\1", b"\5ab", b"\2\0", b"\3ab\4cde"])
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(CobsError):
        unframe(data)


def test_the_example_of_the_protocol_page() -> None:
    page = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    rows = re.findall(r"^cobs     ([0-9a-f ]+)\nmessage  ([0-9a-f ]+?)(?:   .*)?$", page, re.MULTILINE)
    assert len(rows) == 2
    for wire, message in rows:
        assert frame(bytes.fromhex(message)) == bytes.fromhex(wire)
