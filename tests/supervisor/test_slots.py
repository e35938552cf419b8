# SPDX-License-Identifier: Apache-2.0
"""A slot's life: upload, resume, start, exit, trap, fault, stop, switch, revert, reset."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from sel4_bridge.system import MODULE_SIZE
from tests.supervisor.device import (
    COMMAND_FAULT,
    COMMAND_RUN,
    READ,
    STATE_EXITED,
    STATE_REFUSED,
    STATE_RUNNING,
    STATE_TRAPPED,
    WRITE,
    Device,
)

MIB = 1024 * 1024
ONE = b"\0asm" + b"1" * 1000
TWO = b"\0asm" + b"2" * 2000


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def image_error(code: int) -> dict[str, Any]:
    return {"err": {"group": 1, "rc": code}}


def upload(device: Device, **body: Any) -> Any:
    return device.request(WRITE, 1, 1, body)


def start(device: Device, **body: Any) -> Any:
    return device.request(WRITE, 64, 1, {"slot": 0, **body})


def images(device: Device) -> list[tuple[int, int, bytes, bool, bool, bool]]:
    return [
        (i["image"], i["slot"], i["hash"], i["pending"], i["confirmed"], i["active"])
        for i in device.request(READ, 1, 0)["images"]
    ]


def module(device: Device, slot: int = 0) -> bytes:
    """The bytes that the engine is told to run."""
    control = device.control(slot)
    return device.command("o", bytes([slot]))[control["offset"] :][: control["size"]]


def test_digests(device: Device) -> None:
    for size in (0, 1, 55, 56, 63, 64, 65, 1000, 100_000):
        data = random.Random(size).randbytes(size)
        assert device.command("d", data) == sha(data)


def test_upload_resumes_where_it_stopped(device: Device) -> None:
    first = {"image": 0, "off": 0, "len": len(TWO), "sha": sha(TWO), "data": TWO[:500]}
    assert upload(device, **first) == {"off": 500}
    assert device.slot()["upload"] == {"digest": sha(TWO), "size": len(TWO), "off": 500}
    assert upload(device, off=500, data=TWO[500:900]) == {"off": 900}
    assert upload(device, off=500, data=TWO[500:900]) == {"off": 900}  # again: nothing happens
    assert upload(device, off=1500, data=TWO[1500:1600]) == {"off": 900, "held": True}  # too far: held
    assert upload(device, off=len(TWO), data=b"x") == {"off": 900, "held": False}  # beyond the end: nothing happens
    assert upload(device, **first) == {"off": 900}  # a sender that forgot
    assert images(device) == []
    assert upload(device, off=900, data=TWO[900:]) == {"off": len(TWO), "match": True}
    assert images(device) == [(0, 1, sha(TWO), False, False, False)]
    assert upload(device, off=900, data=TWO[900:]) == {"off": len(TWO), "match": True}  # the answer was lost
    assert upload(device, **first) == {"off": len(TWO), "match": True}  # already there
    assert upload(device, off=17, data=b"x") == {"off": 0}  # no upload is open


def test_chunks_in_any_order(device: Device) -> None:
    """Whatever the order, and however chunks overlap, the module that comes out is the one that was sent."""
    chance = random.Random(42)
    for size in (1, 40, 3000, 100_000):
        data = chance.randbytes(size)
        first = {"image": 1, "off": 0, "len": size, "sha": sha(data), "data": data[: size // 50 + 1]}
        answer = upload(device, **first)
        reached = answer["off"]
        while "match" not in answer:
            at = min(size - 1, max(1, int(reached + chance.randrange(-size // 10, size // 2))))
            if chance.randrange(3) == 0:
                at = max(1, reached)
            chunk = data[at : at + chance.randrange(1, 1 + size // 3)]
            answer = upload(device, off=at, data=chunk[:4000])
            assert answer["off"] >= reached
            assert ("held" in answer) == (at > reached)
            reached = answer["off"]
        assert device.slot(1)["candidate"]["digest"] == sha(data)
        device.request(WRITE, 1, 0, {"hash": sha(data), "confirm": True})
        device.request(WRITE, 64, 1, {"slot": 1})
        assert module(device, 1) == data
        device.engine_says(STATE_EXITED, slot=1)


def test_no_more_pieces_are_held_than_there_is_room_for(device: Device) -> None:
    upload(device, image=0, off=0, len=len(TWO), data=TWO[:1])
    answers = [upload(device, off=at, data=TWO[at : at + 1])["held"] for at in range(2, 100, 2)]
    assert answers == [True] * 32 + [False] * (len(answers) - 32)
    assert upload(device, off=1, data=TWO[1:100]) == {"off": 100}
    assert upload(device, off=100, data=TWO[100:])["match"] is True


def test_another_upload_replaces_an_unfinished_one(device: Device) -> None:
    assert upload(device, image=0, off=0, len=len(TWO), sha=sha(TWO), data=TWO[:500]) == {"off": 500}
    assert upload(device, image=0, off=0, len=len(ONE), sha=sha(ONE), data=ONE) == {"off": len(ONE), "match": True}
    assert upload(device, image=0, off=0, len=len(TWO), sha=sha(TWO), data=b"") == {"off": 0}
    assert images(device) == []  # an upload that begins forgets the candidate


def test_uploads_to_both_slots_interleave(device: Device) -> None:
    upload(device, image=0, off=0, len=len(ONE), sha=sha(ONE), data=ONE[:10])
    upload(device, image=1, off=0, len=len(TWO), sha=sha(TWO), data=TWO[:10])
    assert upload(device, off=10, data=TWO[10:20]) == {"off": 20}  # unnamed: the last one that began
    assert upload(device, image=0, off=10, data=ONE[10:])["match"]
    assert upload(device, image=1, off=20, data=TWO[20:])["match"]
    assert [(i[0], i[2]) for i in images(device)] == [(0, sha(ONE)), (1, sha(TWO))]


def test_without_a_digest(device: Device) -> None:
    assert upload(device, off=0, len=len(ONE), data=ONE[:10]) == {"off": 10}
    assert upload(device, off=0, len=len(ONE), data=ONE[:20]) == {"off": 20}  # starts anew
    assert upload(device, off=20, data=ONE[20:]) == {"off": len(ONE), "match": True}
    assert images(device)[0][2] == sha(ONE)


def test_uploads_that_are_refused(device: Device) -> None:
    assert upload(device, image=2, off=0, len=1, data=b"") == image_error(14)
    assert upload(device, off=0, data=b"x") == image_error(21)
    assert upload(device, off=0, len=0, data=b"") == image_error(21)
    assert upload(device, off=0, len=MODULE_SIZE + 1, data=b"") == image_error(30)
    assert upload(device, off=0, len=2**64 - 1, data=b"") == image_error(30)
    assert upload(device, off=0, len=2**32 + 5, data=b"12345") == image_error(30)
    assert upload(device, off=0, len=5, sha=b"short", data=b"") == image_error(24)
    assert upload(device, off=0, len=5, data=b"123456") == image_error(31)
    assert upload(device, off=0, len=5, sha=bytes(32), data=b"12345") == image_error(24)
    assert upload(device, off=0, len=5) == {"rc": 3}
    assert upload(device, data=b"") == {"rc": 3}
    assert upload(device, off=2**64 - 1, data=b"x") == {"off": 0}
    assert images(device) == []
    assert device.slot()["state"] == "empty"
    assert not any(device.command("o", b"\0")[5:])  # nothing was written past an upload's length


def test_active_and_candidate_share_the_region(device: Device) -> None:
    big, other = bytes(MODULE_SIZE - MIB), b"\1" * MIB
    device.upload(big, chunk=8000)
    start(device)
    assert upload(device, off=0, len=MIB + 1, sha=sha(b""), data=b"") == image_error(9)
    device.upload(other, chunk=8000)
    start(device)
    assert module(device) == other
    assert device.slot()["candidate"]["digest"] == sha(big)
    device.upload(ONE)  # the active one is at the top now, this goes to the bottom
    start(device)
    assert module(device) == ONE
    assert upload(device, off=0, len=MODULE_SIZE, sha=sha(b""), data=b"") == image_error(9)


def test_the_largest_module_alone(device: Device) -> None:
    data = random.Random(1).randbytes(MODULE_SIZE)
    device.upload(data, chunk=8000)
    start(device)
    assert module(device) == data
    assert upload(device, off=0, len=1, data=b"") == image_error(9)


def test_start_fills_the_pages(device: Device) -> None:
    assert start(device) == {"err": {"group": 64, "rc": 4}}
    device.upload(ONE)
    assert device.slot()["state"] == "empty"
    grants = ["dir=/data:ro", "files=3"]
    assert start(device, args=["prog", "", "\u00e4"], env=["A=1"], fuel=99, lossless=True, grants=grants) == {
        "starts": 1
    }
    assert device.events() == ["stop 0", "restart 0"]
    control = device.control()
    assert (control["generation"], control["command"], control["fuel"], control["metered"]) == (1, COMMAND_RUN, 99, 1)
    assert device.launch() == {
        "generation": 1,
        "args": [b"prog", b"", "\u00e4".encode()],
        "env": [b"A=1"],
        "grants": [b"dir=/data:ro", b"files=3"],
        "lossless": 1,
    }
    assert module(device) == ONE
    assert device.slot()["state"] == "running"
    assert start(device) == {"err": {"group": 64, "rc": 5}}
    assert device.events() == []


def test_start_without_options(device: Device) -> None:
    device.upload(ONE)
    assert start(device) == {"starts": 1}
    assert device.launch() == {"generation": 1, "args": [], "env": [], "grants": [], "lossless": 0}
    assert device.control()["metered"] == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"args": ["a\0b"]}, 2),
        ({"args": [b"bytes"]}, 2),
        ({"args": [["nested"]]}, 2),
        ({"args": "text"}, 2),
        ({"args": ["x"] * 257}, 6),
        ({"args": ["x"] * 200, "env": ["y"] * 57}, 6),
        ({"args": ["x"] * 100, "env": ["y"] * 100, "grants": ["z"] * 57}, 6),
        ({"grants": ["a\0b"]}, 2),
        ({"args": ["x" * 6000] * 1, "env": ["y" * 2000, "z"], "fuel": -1}, 2),
        ({"slot": 2}, 3),
        ({"slot": 2**32}, 3),
        ({"lossless": 1}, 2),
    ],
)
def test_starts_that_are_refused(device: Device, body: dict[str, Any], code: int) -> None:
    device.upload(ONE)
    assert start(device, **body) == {"err": {"group": 64, "rc": code}}
    assert device.events() == []
    assert device.slot()["starts"] == 0


def test_exit_trap_and_refusal(device: Device) -> None:
    device.upload(ONE)
    start(device)
    device.engine_says(STATE_RUNNING, usage=(65536, 1000, 5))
    assert (device.slot()["state"], device.slot()["memory"]) == ("running", 65536)
    device.engine_says(STATE_EXITED, exit_code=7, usage=(131072, 2000, 9))
    slot = device.slot()
    assert (slot["state"], slot["exit"], slot["memory"], slot["bookkeeping"]) == ("exited", 7, 131072, 2000)
    assert device.request(READ, 64, 4, {"slot": 0})["calls"] == 9

    assert start(device) == {"starts": 2}
    device.engine_says(STATE_TRAPPED, text=b"unreachable", backtrace=b"  #0 f\n")
    slot = device.slot()
    assert (slot["state"], slot["trap"], slot["backtrace"]) == ("trapped", "unreachable", "  #0 f\n")
    assert "exit" not in slot

    start(device)
    device.engine_says(STATE_REFUSED, text=b"bad magic at offset 0")
    assert (device.slot()["state"], device.slot()["error"]) == ("refused", "bad magic at offset 0")
    device.events()
    assert device.request(WRITE, 64, 2, {"slot": 0}) == {}
    assert device.events() == []  # nothing ran
    assert device.slot()["state"] == "refused"


def test_a_hostile_engine_says_nonsense(device: Device) -> None:
    device.upload(ONE)
    device.engine_says(STATE_EXITED, exit_code=1)
    assert device.slot()["state"] == "empty"
    start(device)
    device.engine_says(STATE_EXITED, generation=0)  # an earlier run's
    device.engine_says(STATE_EXITED, generation=2)
    for state in (0, 5, 2**32 - 1):
        device.engine_says(state)
    assert device.slot()["state"] == "running"
    usage = (2**64 - 1, 2**63, 2**64 - 1)
    device.engine_says(STATE_TRAPPED, text=b"\x01\xff\x1b[2J" + b"A" * 300, backtrace=b"\x80" * 3000, usage=usage)
    slot = device.slot()
    assert slot["trap"] == "???[2J" + "A" * 249
    assert slot["backtrace"] == "?" * 2047
    assert slot["memory"] == slot["bookkeeping"] == 8 * MIB
    device.engine_says(STATE_EXITED)  # a second end
    assert device.slot()["state"] == "trapped"


def test_a_fault_is_handed_to_the_engine_once(device: Device) -> None:
    device.upload(ONE)
    start(device)
    device.events()
    device.fault(label=6, pc=0x200100, address=0x10_0080_0000, regs=tuple(range(1, 9)))
    assert device.events() == ["stop 0", "restart 0"]
    control = device.control()
    assert (control["command"], control["label"], control["pc"], control["address"]) == (
        COMMAND_FAULT, 6, 0x200100, 0x10_0080_0000)  # fmt: skip
    assert device.slot()["state"] == "running"
    device.engine_says(STATE_TRAPPED, text=b"out of bounds memory access")
    assert device.slot()["trap"] == "out of bounds memory access"

    start(device)
    device.fault(pc=0x1)
    device.events()
    device.fault(label=3, pc=0xABCDEF, address=0)
    assert device.events() == ["stop 0"]
    slot = device.slot()
    assert slot["state"] == "trapped"
    assert slot["trap"] == "engine fault 0x3 at pc 0x0000000000abcdef, address 0x0000000000000000"
    assert start(device) == {"starts": 3}
    assert device.request(READ, 64, 4, {"slot": 0})["faults"] == 3


def test_a_fault_of_an_engine_that_runs_nothing(device: Device) -> None:
    device.fault(slot=1)
    assert device.events() == ["stop 1"]
    assert device.slot(1)["state"] == "empty"


def test_stop(device: Device) -> None:
    device.upload(ONE)
    start(device)
    device.events()
    assert device.request(WRITE, 64, 2, {"slot": 0}) == {}
    assert device.events() == ["stop 0"]
    assert device.slot()["state"] == "stopped"
    device.engine_says(STATE_EXITED)  # it said so just before it was stopped
    assert device.slot()["state"] == "stopped"


def test_a_pending_candidate_replaces_a_running_module(device: Device) -> None:
    device.upload(ONE)
    start(device)
    digest = device.upload(TWO)
    device.events()
    assert images(device) == [(0, 0, sha(ONE), False, True, True), (0, 1, digest, True, False, False)]
    assert start(device) == {"starts": 2}
    assert device.events() == ["stop 0", "stop 0", "restart 0"]
    assert module(device) == TWO
    assert images(device) == [(0, 0, digest, False, True, True), (0, 1, sha(ONE), False, True, False)]


def test_a_test_that_is_not_confirmed_goes_back(device: Device) -> None:
    device.upload(ONE)
    start(device)
    device.upload(TWO, confirm=False)
    start(device)
    assert module(device) == TWO
    assert start(device) == {"err": {"group": 64, "rc": 5}}  # running: a start alone does not revert it
    device.engine_says(STATE_EXITED)
    start(device)
    assert module(device) == ONE
    device.engine_says(STATE_EXITED)
    start(device)
    assert module(device) == ONE


def test_a_test_that_is_confirmed_stays(device: Device) -> None:
    device.upload(ONE)
    start(device)
    digest = device.upload(TWO, confirm=False)
    start(device)
    assert "images" in device.request(WRITE, 1, 0, {"hash": digest, "confirm": True})
    device.engine_says(STATE_EXITED)
    start(device)
    assert module(device) == TWO
    assert images(device)[0][4]


def test_confirm_without_a_hash_means_image_0(device: Device) -> None:
    assert device.request(WRITE, 1, 0, {"confirm": True}) == image_error(3)
    assert device.request(WRITE, 1, 0, {}) == image_error(24)
    device.upload(ONE)
    start(device)
    device.upload(TWO, confirm=False)
    start(device)
    assert device.request(WRITE, 1, 0, {"confirm": True})["images"][0]["confirmed"]
    assert device.request(WRITE, 1, 0, {"hash": bytes(32)}) == image_error(8)
    assert device.request(WRITE, 1, 0, {"hash": bytes(5)}) == image_error(24)


def test_erase(device: Device) -> None:
    device.upload(ONE)
    start(device)
    device.upload(TWO)
    assert device.request(WRITE, 1, 5, {"slot": 0}) == {"rc": 10}
    assert device.request(WRITE, 1, 5, {}) == {}
    assert [i[2] for i in images(device)] == [sha(ONE)]
    device.engine_says(STATE_EXITED)
    assert device.request(WRITE, 1, 5, {"slot": 0}) == {}
    assert images(device) == []
    assert device.slot()["state"] == "empty"
    assert device.request(WRITE, 1, 5, {"slot": 4}) == image_error(14)


def test_warm_reset_forgets_modules(device: Device) -> None:
    device.upload(ONE)
    start(device)
    device.upload(TWO, image=1)
    device.log(b"kept")
    device.events()
    assert device.request(WRITE, 0, 5, {}) == {}
    device.command("z")
    assert device.events() == ["stop 0"]
    assert images(device) == []
    assert [device.slot(i)["state"] for i in (0, 1)] == ["empty", "empty"]
    assert device.slot()["log_next"] == 1
