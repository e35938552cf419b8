# SPDX-License-Identifier: Apache-2.0
"""Output of a slot: numbered, bounded, lossless where asked, and safe against a ring that lies."""

from __future__ import annotations

import random
import struct
from typing import Any

from tests.supervisor.device import READ, WRITE, Device

HISTORY = 131072
ONE = b"\0asm1"


def logs(device: Device, cursor: int = 0, **more: int) -> Any:
    return device.request(READ, 64, 3, {"slot": 0, "cursor": cursor, **more})


def test_records_come_in_order(device: Device) -> None:
    device.log(b"out")
    device.log(b"err", stream=2, line=False)
    device.log(b"")
    assert logs(device) == {
        "records": [[0, 1, True, b"out"], [1, 2, False, b"err"], [2, 1, True, b""]],
        "next": 3,
        "dropped": 0,
    }
    assert logs(device, 2)["records"] == [[2, 1, True, b""]]
    assert logs(device, 3) == {"records": [], "next": 3, "dropped": 0}
    assert logs(device, 2**64 - 1) == {"records": [], "next": 3, "dropped": 0}
    assert device.request(READ, 64, 3, {"slot": 1, "cursor": 0})["records"] == []
    assert device.slot()["log_next"] == 3


def test_max_bytes(device: Device) -> None:
    for i in range(10):
        device.log(b"%d" % i * 100)
    assert [r[0] for r in logs(device, 0, max=350)["records"]] == [0, 1, 2]
    assert [r[0] for r in logs(device, 3, max=1)["records"]] == [3]


def test_everything_is_read_in_pieces(device: Device) -> None:
    rng = random.Random(3)
    sent = []
    for _ in range(300):
        data = rng.randbytes(rng.choice([0, 1, 2, 3, 5, 100, 1024]))
        assert device.log(data)
        sent.append(data)
        if len(sent) % 20 == 0:
            device.slot()  # drains
    read: list[bytes] = []
    dropped = 0
    while True:
        answer = logs(device, len(read))
        assert [r[0] for r in answer["records"]] == list(range(len(read), answer["next"]))
        dropped += answer["dropped"]
        if not answer["records"]:
            break
        read += [r[3] for r in answer["records"]]
    assert read == sent
    assert dropped == 0


def test_the_oldest_is_dropped_and_counted(device: Device) -> None:
    for i in range(200):
        assert device.log(b"%4d" % i * 256)
        device.slot()
    answer = logs(device)
    kept = HISTORY // (1024 + 4)
    assert answer["dropped"] == 200 - kept
    assert answer["records"][0][0] == 200 - kept
    assert answer["records"][0][3][:4] == b"%4d" % (200 - kept)
    cursor, count = answer["next"], len(answer["records"])
    while cursor < 200:
        answer = logs(device, cursor)
        assert answer["dropped"] == 0
        count += len(answer["records"])
        cursor = answer["next"]
    assert count == kept


def test_lossless_output_waits_for_its_reader(device: Device) -> None:
    device.upload(ONE)
    device.request(WRITE, 64, 1, {"slot": 0, "lossless": True})
    sent = 0
    while device.log(b"%6d" % sent * 100):
        sent += 1
        device.slot()
    assert sent * 604 > HISTORY  # history and ring are both full
    assert "wasi 0" not in device.events()
    read = 0
    more = sent + 400
    while read < more:
        answer = logs(device, read)
        assert answer["dropped"] == 0
        for record in answer["records"]:
            assert record[0] == read
            assert record[3] == b"%6d" % read * 100
            read += 1
        while sent < more and device.log(b"%6d" % sent * 100):
            sent += 1
    assert "wasi 0" in device.events()  # the waiting producer was told


def test_a_ring_that_lies_is_contained(device: Device) -> None:
    rng = random.Random(5)
    for _ in range(300):
        device.command("r", b"\0" + rng.randbytes(2000))
        device.command("i", b"\0" + struct.pack("<I", rng.choice([rng.getrandbits(32), rng.randrange(4096) * 4])))
        assert device.slot()["slot"] == 0
    assert device.request(READ, 64, 4, {"slot": 0})["log_broken"] > 0
    assert logs(device, 2**64 - 1)["next"] == device.slot()["log_next"]
