# SPDX-License-Identifier: Apache-2.0
"""Health probes on the device's own C code: a module on trial confirms itself, or the slot goes back."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

import pytest

from agent.manifest import Health
from tests.supervisor.device import (
    STATE_EXITED,
    STATE_REFUSED,
    STATE_RUNNING,
    STATE_TRAPPED,
    WRITE,
    Device,
)

if TYPE_CHECKING:
    from tests.signing.conftest import World

S = 1_000_000_000
BUSY = 10


def digest(module: bytes) -> bytes:
    return hashlib.sha256(module).digest()


def passes(device: Device, seconds: float) -> None:
    device.command("w", struct.pack("<Q", round(seconds * S)))


def trial(device: Device, world: World, health: Health | None, *, slot: int = 0) -> tuple[bytes, bytes]:
    """Version 1 runs and is confirmed, version 2 is on trial."""
    one, two = world.sign(sequence=5), world.sign(sequence=6, health=health)
    device.upload(one, image=slot)
    device.request(WRITE, 64, 1, {"slot": slot, "args": ["module", "x"]})
    device.engine_says(STATE_RUNNING, slot=slot)
    device.upload(two, image=slot, confirm=False)
    device.request(WRITE, 64, 1, {"slot": slot, "args": ["module", "x"]})
    device.engine_says(STATE_RUNNING, slot=slot)
    device.events()
    assert device.slot(slot)["digest"] == digest(two)
    return one, two


def went_back(device: Device, one: bytes, two: bytes, why: int, *, slot: int = 0) -> dict[str, Any]:
    status = device.slot(slot)
    assert (status["state"], status["digest"], status["confirmed"]) == ("running", digest(one), True)
    assert (status["reverted"]["digest"], status["reverted"]["why"]) == (digest(two), why)
    assert status["reverted"]["reason"]
    assert "probe_ms" not in status
    assert device.launch(slot)["args"] == [b"module", b"x"]
    assert device.events()[-1] == f"restart {slot}"
    return status


def stays(device: Device, two: bytes, state: str) -> None:
    status = device.slot()
    assert (status["state"], status["digest"], status["confirmed"]) == (state, digest(two), True)
    assert "reverted" not in status
    assert "probe_ms" not in status


def test_alive_long_enough(release_device: Device, world: World) -> None:
    _, two = trial(release_device, world, Health(alive_s=10))
    assert 9_000 < release_device.slot()["probe_ms"] <= 10_000
    passes(release_device, 9.9)
    assert release_device.slot()["confirmed"] is False
    passes(release_device, 0.2)
    stays(release_device, two, "running")
    passes(release_device, 1000)
    stays(release_device, two, "running")


@pytest.mark.parametrize("state", [STATE_EXITED, STATE_TRAPPED, STATE_REFUSED])
def test_not_alive_long_enough(release_device: Device, world: World, state: int) -> None:
    one, two = trial(release_device, world, Health(alive_s=10))
    passes(release_device, 5)
    release_device.engine_says(state, text=b"why")
    went_back(release_device, one, two, 3)


def test_the_exit_code(release_device: Device, world: World) -> None:
    _, two = trial(release_device, world, Health(exit=7))
    release_device.engine_says(STATE_EXITED, exit_code=7)
    stays(release_device, two, "exited")


@pytest.mark.parametrize("code", [0, 6, 8, 256 + 7])
def test_another_exit_code(release_device: Device, world: World, code: int) -> None:
    one, two = trial(release_device, world, Health(exit=7))
    release_device.engine_says(STATE_EXITED, exit_code=code)
    went_back(release_device, one, two, 2)


@pytest.mark.parametrize("health", [Health(exit=0, timeout_s=20), Health(line="ready", timeout_s=20)])
def test_not_in_time(release_device: Device, world: World, health: Health) -> None:
    one, two = trial(release_device, world, health)
    passes(release_device, 19)
    assert release_device.slot()["confirmed"] is False
    passes(release_device, 2)
    went_back(release_device, one, two, 4)


def test_the_default_time(release_device: Device, world: World) -> None:
    one, two = trial(release_device, world, Health(line="ready"))
    passes(release_device, 59)
    assert release_device.slot()["digest"] == digest(two)
    passes(release_device, 2)
    went_back(release_device, one, two, 4)


@pytest.mark.parametrize(
    "pieces",
    [
        [(b"ready", 1, True)],
        [(b"noise", 1, True), (b"re", 1, False), (b"ready", 2, True), (b"ad", 1, False), (b"y", 1, True)],
        [(b"ready!", 1, True), (b"", 1, True), (b"ready", 1, False), (b"", 1, True)],
    ],
)
def test_the_line(release_device: Device, world: World, pieces: list[tuple[bytes, int, bool]]) -> None:
    _, two = trial(release_device, world, Health(line="ready"))
    for data, stream, ends in pieces:
        release_device.log(data, stream=stream, line=ends)
    stays(release_device, two, "running")


@pytest.mark.parametrize(
    "pieces",
    [
        [(b"ready", 1, False)],
        [(b"ready", 2, True)],
        [(b"ready ", 1, True), (b" ready", 1, True), (b"read", 1, True), (b"", 1, True), (b"READY", 1, True)],
        [(b"ready", 1, False), (b"ready", 1, True)],
    ],
)
def test_another_line(release_device: Device, world: World, pieces: list[tuple[bytes, int, bool]]) -> None:
    one, two = trial(release_device, world, Health(line="ready"))
    for data, stream, ends in pieces:
        release_device.log(data, stream=stream, line=ends)
    assert release_device.slot()["confirmed"] is False
    release_device.engine_says(STATE_EXITED)
    went_back(release_device, one, two, 3)


def test_the_line_as_the_last_thing(release_device: Device, world: World) -> None:
    _, two = trial(release_device, world, Health(line="ready"))
    release_device.log(b"ready")
    release_device.engine_says(STATE_EXITED, exit_code=3)
    stays(release_device, two, "exited")


def test_what_the_former_module_wrote_does_not_count(release_device: Device, world: World) -> None:
    """Its line still lies in the ring when the new module starts."""
    one = world.sign(sequence=5)
    release_device.upload(one)
    release_device.request(WRITE, 64, 1, {"slot": 0, "lossless": True})
    while release_device.log(b"x" * 1000):  # nobody reads: the history fills, then the ring
        release_device.request(WRITE, 0, 0, {"d": ""})
        release_device.slot()
    release_device.upload(world.sign(sequence=6, health=Health(line="x" * 250)), confirm=False)
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.engine_says(STATE_RUNNING)
    assert release_device.slot()["confirmed"] is False


def test_the_watchdog_fails_a_trial(release_device: Device, world: World) -> None:
    one, two = world.sign(sequence=5), world.sign(sequence=6, health=Health(alive_s=50))
    release_device.upload(one)
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.upload(two, confirm=False)
    release_device.request(WRITE, 64, 1, {"slot": 0, "args": ["module", "x"], "timeout_ms": 1000})
    release_device.engine_says(STATE_RUNNING)
    passes(release_device, 2)
    went_back(release_device, one, two, 3)


def test_whoever_confirms_by_name_ends_the_trial(release_device: Device, world: World) -> None:
    _, two = trial(release_device, world, Health(exit=0))
    release_device.request(WRITE, 1, 0, {"hash": digest(two), "confirm": True})
    release_device.engine_says(STATE_EXITED, exit_code=9)
    stays(release_device, two, "exited")


def test_a_stopped_trial_goes_back_at_the_next_start(release_device: Device, world: World) -> None:
    one, two = trial(release_device, world, Health(exit=0))
    release_device.request(WRITE, 64, 2, {"slot": 0})
    passes(release_device, 1000)
    assert release_device.slot()["state"] == "stopped"
    release_device.request(WRITE, 64, 1, {"slot": 0, "args": ["module", "x"]})
    went_back(release_device, one, two, 5)


def test_no_upload_takes_the_way_back_during_a_trial(release_device: Device, world: World) -> None:
    one, two = trial(release_device, world, Health(alive_s=10))
    three = world.sign(sequence=7)
    body = {"image": 0, "off": 0, "len": len(three), "sha": digest(three), "data": three}
    assert release_device.request(WRITE, 1, 1, body) == {"rc": BUSY}
    release_device.engine_says(STATE_TRAPPED)
    went_back(release_device, one, two, 3)
    assert release_device.request(WRITE, 1, 1, body)["match"] is True
    assert "reverted" not in release_device.slot()


def test_after_going_back_the_failed_module_may_be_tried_again(release_device: Device, world: World) -> None:
    one, two = trial(release_device, world, Health(exit=0))
    release_device.engine_says(STATE_EXITED, exit_code=1)
    went_back(release_device, one, two, 2)
    release_device.request(WRITE, 1, 0, {"hash": digest(two), "confirm": False})
    assert "reverted" not in release_device.slot()
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.engine_says(STATE_EXITED, exit_code=0)
    stays(release_device, two, "exited")


def test_a_module_without_a_probe_waits_for_somebody(release_device: Device, world: World) -> None:
    _, two = trial(release_device, world, None)
    passes(release_device, 100_000)
    status = release_device.slot()
    assert (status["digest"], status["confirmed"]) == (digest(two), False)


def test_the_other_slot_has_a_trial_of_its_own(release_device: Device, world: World) -> None:
    one, two = trial(release_device, world, Health(alive_s=10))
    other, _ = trial(release_device, world, Health(exit=0), slot=1)
    release_device.engine_says(STATE_EXITED, slot=1, exit_code=1)
    assert release_device.slot(1)["digest"] == digest(other)
    assert release_device.slot()["digest"] == digest(two)
    passes(release_device, 11)
    stays(release_device, two, "running")
    assert one != two
