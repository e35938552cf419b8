# SPDX-License-Identifier: Apache-2.0
"""SMP header, CBOR bodies and errors, the OS group, and what random bytes do."""

from __future__ import annotations

import random
import struct

import cbor2
import pytest

from edge_engine.zig import ROOT
from tests.supervisor.device import READ, WRITE, Device, frame, message, unframe


def test_echo_in_both_versions(device: Device) -> None:
    for version in (0, 1):
        assert device.request(WRITE, 0, 0, {"d": "h\u00e9"}, version=version) == {"r": "h\u00e9"}


def test_errors_by_version(device: Device) -> None:
    for version in (0, 1):
        assert device.request(READ, 99, 0, {}, version=version) == {"rc": 8}
        assert device.request(READ, 0, 99, {}, version=version) == {"rc": 8}
        assert device.request(READ, 0, 0, {}, version=version) == {"rc": 8}  # echo is a write
        assert device.request(WRITE, 0, 0, b"\xff", version=version) == {"rc": 3}
    assert device.request(WRITE, 64, 2, {"slot": 9}, version=0) == {"rc": 5}
    assert device.request(WRITE, 64, 2, {"slot": 9}) == {"err": {"group": 64, "rc": 3}}
    assert device.request(READ, 0, 6, {}, version=2) == {"rc": 13}


def test_a_length_that_lies(device: Device) -> None:
    good = message(WRITE, 0, 0, {"d": "x"})
    for length in (0, 1, len(good) - 9, len(good) - 7, 65535):
        bad = good[:2] + struct.pack(">H", length) + good[4:]
        assert cbor2.loads(device.command("m", bad)[8:]) == {"rc": 3}


def test_no_answer_to_answers_and_fragments(device: Device) -> None:
    good = message(WRITE, 0, 0, {"d": "x"})
    for op in (1, 3, 4, 7):
        assert device.command("m", bytes([0x08 | op]) + good[1:]) == b""
    for size in range(8):
        assert device.command("m", good[:size]) == b""


@pytest.mark.parametrize(
    "body",
    [
        b"\xa2\x61d\x61x\x61d\x61y",  # a key twice
        b"\xa2\x61q\x01\x61q\x02",  # an unknown key twice
        b"\xbf\x61d\x61x\xff",  # indefinite map
        b"\xa1\x61d\x7f\x61x\xff",  # indefinite text
        b"\xa1\x61d\x01",  # another type
        b"\xa1\x01\x01",  # a key that is no text
        b"\xa1\x61d",  # no value
        b"\xa1\x61d\x61x\x00",  # more than a map
        b"\xa1\x61d\x7b\xff\xff\xff\xff\xff\xff\xff\xff",  # a length of 2^64 - 1
        b"\xa1\x61q\x9b\xff\xff\xff\xff\xff\xff\xff\xff",  # skipped: as many items
        b"\xa1\x61q\xbb\x80\x00\x00\x00\x00\x00\x00\x00",  # skipped: pairs that overflow when doubled
        b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80",
        b"\xa1\x61q\x1c",  # reserved
        b"\xa1\x61d\x61\x80",  # texts that are no UTF-8
        b"\xa1\x61d\x62\xc0\x80",
        b"\xa1\x61d\x63\xed\xa0\x80",
        b"\xa1\x61d\x64\xf4\x90\x80\x80",
        b"\xa1\x61d\x62\xe2\x82",
    ],
)
def test_bodies_that_are_refused(device: Device, body: bytes) -> None:
    assert device.request(WRITE, 0, 0, body) == {"rc": 3}


def test_unknown_keys_are_skipped(device: Device) -> None:
    body = {"a": {"b": [1, -2, 3.5, None, True, b"x"]}, "d": "x", "t": cbor2.CBORTag(9, [1, 2])}
    assert device.request(WRITE, 0, 0, body) == {"r": "x"}
    deep = b"\xa2\x61q" + b"\x81" * 7000 + b"\x00" + b"\x61d\x61x"
    assert device.request(WRITE, 0, 0, deep) == {"r": "x"}
    assert device.request(WRITE, 0, 0, {"d": "\u00e9\u20ac\U0010ffff\ud7ff"}) == {"r": "\u00e9\u20ac\U0010ffff\ud7ff"}
    assert device.request(WRITE, 0, 0, {"d": None}) == {"r": ""}
    assert device.request(WRITE, 0, 0, {f"k{i}": i for i in range(32)}) == {"r": ""}
    assert device.request(WRITE, 0, 0, {f"k{i}": i for i in range(33)}) == {"rc": 3}


def test_fuzzed_messages_never_break_it(device: Device) -> None:
    """Invariant: any bytes get an answer of CBOR or none, and the device goes on answering."""
    rng = random.Random(7)
    seeds = [
        message(WRITE, 0, 0, {"d": "x" * 30}),
        message(WRITE, 1, 1, {"image": 0, "off": 0, "len": 100, "sha": bytes(32), "data": b"abc"}),
        message(WRITE, 1, 0, {"hash": bytes(32), "confirm": True}),
        message(WRITE, 64, 1, {"slot": 0, "args": ["a", "b"], "env": ["K=V"], "fuel": 5, "lossless": False}),
        message(READ, 64, 3, {"slot": 0, "cursor": 0, "max": 100}),
        message(WRITE, 0, 4, {"datetime": "2026-01-31T12:00:00.5+01:00"}),
        message(READ, 0, 7, {"format": "a"}),
    ]
    for round_number in range(4000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 5)):
            kind = rng.randrange(3)
            at = rng.randrange(8, len(data)) if len(data) > 8 else 0
            if kind == 0 and data:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randrange(1, 6)]
            else:
                data[at:at] = rng.randbytes(rng.randrange(1, 9))
        if len(data) >= 8 and rng.randrange(4):
            data[2:4] = struct.pack(">H", len(data) - 8)
        answer = device.command("m", bytes(data))
        if answer:
            assert len(answer) == 8 + struct.unpack(">H", answer[2:4])[0]
            cbor2.loads(answer[8:])
        if round_number % 500 == 0:
            assert device.request(WRITE, 0, 0, {"d": "alive"}) == {"r": "alive"}


def test_truncated_messages(device: Device) -> None:
    good = message(WRITE, 64, 1, {"slot": 0, "args": ["a"], "env": ["K=V"], "fuel": 5, "lossless": False})
    for size in range(8, len(good)):
        cut = good[:2] + struct.pack(">H", size - 8) + good[4:size]
        answer = cbor2.loads(device.command("m", cut)[8:])
        assert answer in ({"err": {"group": 64, "rc": 2}}, {"err": {"group": 64, "rc": 4}})


def test_date_and_time(device: Device) -> None:
    assert device.request(READ, 0, 4) == {"datetime": "2023-11-14T22:13:20.000000"}
    for text, expected in {
        "2024-02-29T23:59:59.25": "2024-02-29T23:59:59.250000",
        "1970-01-01T00:00:00Z": "1970-01-01T00:00:00.000000",
        "2026-03-01T00:30:00+01:00": "2026-02-28T23:30:00.000000",
        "2399-12-31T22:00:00-02:00": "2400-01-01T00:00:00.000000",
    }.items():
        assert device.request(WRITE, 0, 4, {"datetime": text}) == {}
        assert device.request(READ, 0, 4) == {"datetime": expected}
    device.command("n", struct.pack("<Q", 1_500_000_000))
    assert device.request(READ, 0, 4) == {"datetime": "2400-01-01T00:00:01.500000"}


@pytest.mark.parametrize(
    "text",
    ["", "2024-02-29", "2024-13-01T00:00:00", "2024-01-01T24:00:00", "2024-01-01T00:00:00.", "2024-01-01T00:00:00Zx",
     "1969-12-31T23:59:59", "1970-01-01T00:00:00+01:00", "2024-01-01T00:00:00+1:00", "20x4-01-01T00:00:00"],
)  # fmt: skip
def test_times_that_are_refused(device: Device, text: str) -> None:
    assert device.request(WRITE, 0, 4, {"datetime": text}) == {"rc": 3}
    assert device.request(READ, 0, 4) == {"datetime": "2023-11-14T22:13:20.000000"}


def test_information(device: Device) -> None:
    assert device.request(READ, 0, 7) == {"output": "wasel"}
    assert device.request(READ, 0, 7, {"format": "or"}) == {"output": "0.1.0 the host"}
    assert device.request(READ, 0, 7, {"format": "s?"}) == {"err": {"group": 0, "rc": 2}}


def test_seed(device: Device) -> None:
    assert device.request(READ, 64, 0)["random"] == "unseeded"
    assert device.request(WRITE, 64, 5, {"seed": bytes(31)}) == {"err": {"group": 64, "rc": 2}}
    assert device.request(READ, 64, 0)["random"] == "unseeded"
    assert device.request(WRITE, 64, 5, {"seed": bytes(range(32))}) == {}
    assert device.request(READ, 64, 0)["random"] == "seeded"
    assert device.command("s")[8:48] == struct.pack("<II", 1, 0) + bytes(range(32))


def test_every_command_of_the_page_exists(device: Device) -> None:
    """Each row of the protocol's command tables answers something else than "no such command"."""
    page = (ROOT / "docs" / "PROTOCOL.md").read_text()
    found = 0
    for group, section in ((0, "## Group 0"), (1, "## Group 1"), (64, "## Group 64")):
        text = page.split(section)[1].split("\n## ")[0]
        for row in text.splitlines():
            cells = [cell.strip() for cell in row.split("|")]
            if len(cells) > 4 and cells[1][:1].isdigit() and cells[2] in ("read", "write"):
                found += 1
                op = READ if cells[2] == "read" else WRITE
                assert device.request(op, group, int(cells[1].split()[0]), {}) != {"rc": 8}, row
    assert found == 18


def test_output_of_the_device_counts(device: Device) -> None:
    device.feed(frame(message(READ, 64, 0)) + b"\x06\x09!!\n")
    stats = cbor2.loads(unframe(device.feed(frame(message(READ, 64, 4, {"slot": 0}))))[0][8:])
    assert stats["frames"] == 2
    assert stats["frames_broken"] == 1
    assert stats["requests"] == 2
