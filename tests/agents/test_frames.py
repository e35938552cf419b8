# SPDX-License-Identifier: Apache-2.0
"""Console framing: the same bytes give the same events however they are cut, and damage costs one frame at most."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smp import packet

from agent.link import modules
from agent.link.frames import MAX_LINE, BadFrame, FrameDecoder, Message, Text, encode_frames

MESSAGE = bytes(range(256)) * 3


def whole(data: bytes) -> list:
    return FrameDecoder().feed(data)


def by_byte(data: bytes) -> list:
    decoder = FrameDecoder()
    return [event for i in range(len(data)) for event in decoder.feed(data[i : i + 1])]


def test_known_frame_of_the_mcumgr_encoder():
    assert encode_frames(b"Hello, world!") == b"\x06\tAA9IZWxsbywgd29ybGQhet4=\n"


@given(st.binary(max_size=2000))
def test_round_trip_and_lines_fit(message):
    data = encode_frames(message)
    assert max(len(line) for line in data.splitlines(keepends=True)) <= 127
    assert whole(data) == [Message(message)]


@given(st.binary(min_size=1, max_size=600))
def test_the_smp_package_reads_ours_and_we_read_theirs(message):
    decoder = packet.decode()
    next(decoder)
    decoded = None
    for line in encode_frames(message).splitlines(keepends=True):
        try:
            decoder.send(line)
        except StopIteration as stop:
            decoded = bytes(stop.value)
    assert decoded == message
    assert whole(b"".join(packet.encode(message))) == [Message(message)]


piece = st.one_of(
    st.binary(max_size=200).map(encode_frames),
    st.binary(max_size=40),
    st.sampled_from([b"\x06\x09", b"\x04\x14", b"\n", b"\r\n", b"\x06", b"\x04", b"boot text\r\n", b"x" * 1500]),
)


@given(st.lists(piece, max_size=12).map(b"".join))
def test_whole_and_byte_by_byte_agree(data):
    assert whole(data) == by_byte(data)


def test_line_limit_cut_at_a_marker_is_the_same_both_ways():
    for size in (MAX_LINE - 1, MAX_LINE, MAX_LINE + 1):
        data = b"\x06\x09" + b"A" * size + b"\x06\x09AAA\n"
        decoder, near = FrameDecoder(), MAX_LINE - 10
        cut = decoder.feed(data[:near]) + [
            event for i in range(near, len(data)) for event in decoder.feed(data[i : i + 1])
        ]
        assert whole(data) == cut


def test_text_between_and_before_frames():
    data = b"wasel: ready\r\nhalf" + encode_frames(b"one") + b"tail\n"
    assert whole(data) == [Text(b"wasel: ready", True), Text(b"half", False), Message(b"one"), Text(b"tail", True)]


@given(st.data())
def test_a_damaged_byte_costs_one_message_at_most(data):
    frames = encode_frames(MESSAGE)
    at = data.draw(st.integers(0, len(frames) - 1))
    bit = data.draw(st.integers(0, 7))
    damaged = bytearray(frames)
    damaged[at] ^= 1 << bit
    # The newline between is what a sender adds after silence; without it damage to the last one may eat the next start.
    events = whole(bytes(damaged) + b"\n" + encode_frames(b"next"))
    messages = [event.data for event in events if isinstance(event, Message)]
    assert messages in ([b"next"], [MESSAGE, b"next"])
    if MESSAGE in messages:
        # a line's end that turned into another byte, or bits of the last digit that the padding leaves unused
        assert frames[at : at + 1] == b"\n" or b"=" in frames[at + 1 : at + 3]


@given(st.integers(0, 8))
def test_a_lost_line_is_noticed(lost):
    lines = encode_frames(MESSAGE).splitlines(keepends=True)
    assert len(lines) == 9
    data = b"".join(line for n, line in enumerate(lines) if n != lost) + encode_frames(b"next")
    events = whole(data)
    assert [event for event in events if isinstance(event, Message)] == [Message(b"next")]
    assert any(isinstance(event, BadFrame) for event in events)


@given(st.integers(0, 8))
def test_a_doubled_line_is_noticed(doubled):
    lines = encode_frames(MESSAGE).splitlines(keepends=True)
    data = b"".join(line * (2 if n == doubled else 1) for n, line in enumerate(lines)) + encode_frames(b"next")
    messages = [event.data for event in whole(data) if isinstance(event, Message)]
    assert messages[-1] == b"next"
    assert set(messages) <= {MESSAGE, b"next"}


@pytest.mark.parametrize(
    "bad", [b"\x06\x09!!!!\n", b"\x06\x09AA\n", b"\x06\x09\n", b"\x04\x14AAAA\n", b"\x06\x09AAAA\n"]
)
def test_nonsense_is_a_bad_frame(bad):
    assert [type(event) for event in whole(bad)] == [BadFrame]


def test_message_over_the_length_field_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        encode_frames(bytes(65534))


def test_the_worked_examples_of_the_protocol_page():
    page = (Path(__file__).resolve().parents[2] / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    lines = re.findall(r"^line +06 09 +(\S+) +0a$", page, re.MULTILINE)
    assert len(lines) == 4
    for line in lines:
        wire = b"\x06\x09" + line.encode() + b"\n"
        (event,) = whole(wire)
        assert isinstance(event, Message)
        assert encode_frames(event.data) == wire
    error = modules.ErrorV2.loads(whole(b"\x06\x09" + lines[3].encode() + b"\n")[0].data)
    assert error.err.rc == modules.ModuleError.NO_SUCH_SLOT
