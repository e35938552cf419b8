# SPDX-License-Identifier: Apache-2.0
"""MQTT bodies: what we encode parses to the same; whatever else comes is refused with MessageError and nothing else."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import MessageError, UsageError
from agent.messages import (
    Ack,
    Chunk,
    Command,
    Desired,
    DesiredSlot,
    Get,
    LogLine,
    Metrics,
    Progress,
    SlotReport,
    State,
    slice_module,
)
from agent.mqtt import BrokerAddress
from agent.topics import Topics

DIGEST = bytes(range(32))
digests = st.binary(min_size=32, max_size=32)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
slots = st.builds(
    DesiredSlot,
    digests,
    st.integers(1, 1 << 22),
    st.lists(texts, max_size=4).map(tuple),
    st.lists(texts.map("K={}".format), max_size=4).map(tuple),
    texts,
)
desired = st.builds(Desired, st.integers(0, (1 << 63) - 1), st.dictionaries(st.integers(0, 63), slots, max_size=4))
parsers = st.sampled_from([Desired, State, Get, Chunk, LogLine, Metrics, Command, Ack])
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=4),
    max_leaves=5,
)


@given(desired)
def test_desired_round_trip(message):
    assert Desired.parse(message.encode()) == message


@given(digests, st.integers(0, 1 << 22), st.binary(max_size=4096))
def test_chunk_round_trip(digest, offset, data):
    assert Chunk.parse(Chunk(digest, offset, data).encode()) == Chunk(digest, offset, data)


def test_state_round_trip():
    report = SlotReport(
        1, "trapped", DIGEST, 5, None, "unreachable", None, "#0 main", 3, 4, 65536, 100, confirmed=False, signed=True,
        name="app", version="1.2.3", release=7, key=DIGEST, reason="watchdog", budget=50, period_us=1000,
    )  # fmt: skip
    state = State(
        True, "dev", 7, 8, True, "stand-in", "0.1.0", (report,), {1: Progress(DIGEST, 1, 5, "pull")}, {0: "no"},
        image="release", device_class="pump", boot=b"12345678", report=9,
    )  # fmt: skip
    assert State.parse(state.encode()) == state


def test_log_and_get_round_trip():
    assert LogLine.parse(LogLine(0, 1, 9, b"text", line=True).encode()) == LogLine(0, 1, 9, b"text", line=True)
    assert Get.parse(Get(DIGEST, 4096, 4096, 8).encode()) == Get(DIGEST, 4096, 4096, 8)


def test_metrics_and_commands_round_trip():
    for message in (
        Metrics({0: {"cpu_us": 1 << 63}, 1: {}}),
        Command(b"12345678", "ping"),
        Command(b"12345678", "stop", 1),
        Command(b"12345678", "trace", 0),
        Ack(b"12345678", ok=True),
        Ack(b"12345678", ok=False, error="no such slot"),
    ):
        assert type(message).parse(message.encode()) == message


@pytest.mark.parametrize(
    ("parser", "fields"),
    [
        (Metrics, {"slots": {0: {"cpu": -1}}}),
        (Metrics, {"slots": {0: {"cpu": 1 << 64}}}),
        (Metrics, {"slots": {0: {1: 1}}}),
        (Metrics, {"slots": {0: {"cpu": True}}}),
        (Metrics, {"slots": {0: {f"c{n}": n for n in range(65)}}}),
        (Metrics, {"slots": {0: []}}),
        (Command, {"id": b"12345678", "do": "reboot"}),
        (Command, {"id": b"12345678", "do": "start"}),
        (Command, {"id": b"12345678", "do": "trace"}),
        (Command, {"id": b"12345678", "do": "ping", "slot": 0}),
        (Command, {"id": b"12345678", "do": "stop", "slot": 64}),
        (Command, {"id": b"short", "do": "ping"}),
        (Ack, {"id": b"12345678"}),
        (Ack, {"id": b"12345678", "ok": True, "more": 1}),
    ],
)
def test_metrics_and_commands_are_strict(parser, fields):
    with pytest.raises(MessageError):
        parser.parse(cbor2.dumps({"v": 1} | fields))


@given(parsers, st.binary(max_size=200))
def test_any_bytes_are_a_message_or_refused(parser, body):
    with contextlib.suppress(MessageError):
        parser.parse(body)


@given(parsers, st.dictionaries(st.sampled_from(["v", "sequence", "slots", "digest", "data", "crc", "slot"]), junk))
def test_any_map_is_a_message_or_refused(parser, fields):
    with contextlib.suppress(MessageError):
        parser.parse(cbor2.dumps({"v": 1} | fields))


@given(st.integers(0, 100), st.integers(0, 7))
def test_a_flipped_bit_in_a_chunk_is_refused_or_another_message(at, bit):
    body = bytearray(Chunk(DIGEST, 0, bytes(64)).encode())
    start = bytes(body).index(b"data") + 6
    body[start + at % 64] ^= 1 << bit
    with pytest.raises(MessageError, match="checksum"):
        Chunk.parse(bytes(body))


SLOT = {"digest": DIGEST, "size": 1}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"v": 2, "sequence": 1, "slots": {}}, "version 2"),
        ({"sequence": 1, "slots": {}}, "v is missing"),
        ({"v": 1, "slots": {}}, "sequence is missing"),
        ({"v": 1, "sequence": -1}, "sequence"),
        ({"v": 1, "sequence": True}, "sequence"),
        ({"v": 1, "sequence": 1, "extra": 1}, "unknown key 'extra'"),
        ({"v": 1, "sequence": 1, "slots": {"0": SLOT}}, "slots"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"digest": b"short"}}}, "digest"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"size": 0}}}, "size is 0"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"size": 1 << 40}}}, "size"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"args": ["a\0b"]}}}, "args"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"args": ["x" * 20000]}}}, "args"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"env": ["=V"]}}}, "K=V"),
        ({"v": 1, "sequence": 1, "slots": {0: SLOT | {"fuel": 1}}}, "unknown key"),
        ({"v": 1, "sequence": 1, "slots": {99: SLOT}}, "slots"),
    ],
)
def test_desired_is_strict(fields, words):
    with pytest.raises(MessageError, match=words):
        Desired.parse(cbor2.dumps(fields))


def test_sizes_are_bounded():
    with pytest.raises(MessageError, match="over"):
        Desired.parse(bytes(300 * 1024))
    with pytest.raises(MessageError):
        Chunk.parse(Chunk(DIGEST, 0, bytes(61 * 1024)).encode())
    with pytest.raises(MessageError):
        Get.parse(Get(DIGEST, 0, 4096, 65).encode())


@given(st.integers(0, 200), st.integers(1, 50), st.integers(1, 9))
def test_slices_are_the_window_asked_for(offset, length, window):
    module = bytes(range(150))
    chunks = list(slice_module(module, DIGEST, Get(DIGEST, offset, length, window)))
    assert b"".join(chunk.data for chunk in chunks) == module[offset : offset + length * window]
    assert all(chunk.data for chunk in chunks)
    assert list(slice_module(module, bytes(32), Get(DIGEST, offset, length, window))) == []


def test_topics_and_addresses():
    assert Topics("dev1").desired == "wasel/1/default/dev1/desired"
    for name in ("a/b", "+", "#", "", "x" * 65, ".x"):
        with pytest.raises(UsageError):
            Topics(name)
    address = BrokerAddress.parse("mqtts://me:p%40ss@host")
    assert (address.host, address.port, address.tls, address.user, address.password) == (
        "host",
        8883,
        True,
        "me",
        "p@ss",
    )
    assert "p@ss" not in str(address)
    for url in ("http://x", "mqtt://", "mqtt://h:port", "mqtt://h/path"):
        with pytest.raises(UsageError):
            BrokerAddress.parse(url)


def test_the_page_and_the_code_agree_byte_for_byte():
    page = (Path(__file__).resolve().parents[2] / "docs" / "MQTT.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^### (\w+).*?```\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    kinds = {"desired": Desired, "state": State, "get": Get, "chunk": Chunk, "log": LogLine}
    kinds |= {"met": Metrics, "cmd": Command, "ack": Ack}
    seen = set()
    for leaf, block in blocks:
        body = bytes.fromhex(re.sub(r"#.*", "", block))
        assert kinds[leaf].parse(body).encode() == body, leaf
        seen.add(leaf)
    assert seen == set(kinds)
    for leaf in kinds:
        assert Topics("DEVICE").__getattribute__(leaf) in page
