# SPDX-License-Identifier: Apache-2.0
"""What bounds a run: budgets, the watchdog, restarts after failures, floods, and the meter that goes with them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pytest

from sel4_bridge.system import SLOT_CLASSES, SLOTS, THROTTLE_PERIOD_US
from tests.supervisor.device import READ, STATE_EXITED, STATE_REFUSED, STATE_TRAPPED, WRITE, Device

MODULE = b"\0asm" + b"1" * 100
MS = 1_000_000
PERIOD_MS = THROTTLE_PERIOD_US // 1000
TOP = SLOT_CLASSES[0].priority


@dataclass(frozen=True)
class Schedule:
    """What the supervisor asked of timer and kernel."""

    due_ns: int  # absolute, 0: never
    priorities: tuple[int, ...]


def passes(device: Device, milliseconds: float = 0) -> Schedule:
    """Let time pass, and the timer fire at its end if it was due."""
    due, *priorities = struct.unpack(f"<{1 + SLOTS}Q", device.command("w", struct.pack("<Q", round(milliseconds * MS))))
    return Schedule(due, tuple(priorities))


def start(device: Device, slot: int = 0, **body: Any) -> Any:
    device.upload(MODULE + bytes([slot]), image=slot)
    return again(device, slot, **body)


def again(device: Device, slot: int = 0, **body: Any) -> Any:
    return device.request(WRITE, 64, 1, {"slot": slot, **body})


def stats(device: Device, slot: int = 0) -> dict[str, int]:
    counters: dict[str, int] = device.request(READ, 64, 4, {"slot": slot})
    return counters


def test_status_names_every_slots_class(device: Device) -> None:
    for number, expected in enumerate(SLOT_CLASSES):
        slot = device.slot(number)
        assert (slot["class"], slot["budget"], slot["period_us"]) == (
            expected.name,
            expected.percent,
            expected.period_us,
        )


@pytest.mark.parametrize(
    "body",
    [{"budget": 0}, {"budget": 101}, {"timeout_ms": 0}, {"timeout_ms": 2**63}, {"restart": "always"}, {"restart": 1}],
)
def test_limits_out_of_range_are_refused(device: Device, body: dict[str, Any]) -> None:
    assert start(device, **body) == {"err": {"group": 64, "rc": 2}}
    assert device.slot()["state"] == "empty"


def test_a_run_without_limits_needs_no_timer(device: Device) -> None:
    start(device)
    assert passes(device) == Schedule(0, (TOP - 1, 0))
    assert device.events() == ["stop 0", "restart 0"]


def test_a_budget_is_a_part_of_every_period(device: Device) -> None:
    start(device, budget=20)
    assert device.slot()["budget"] == 20
    assert device.slot()["period_us"] == THROTTLE_PERIOD_US
    device.events()
    assert passes(device).priorities[0] == TOP  # a quarter of it comes before everybody
    for _ in range(3):
        assert passes(device, PERIOD_MS * 0.05).priorities[0] == TOP - 2  # the rest after everybody
        assert device.events() == []
        passes(device, PERIOD_MS * 0.15)
        assert device.events() == ["stop 0"]
        passes(device, PERIOD_MS * 0.8)
        assert device.events() == ["resume 0"]
        assert passes(device).priorities[0] == TOP
    counters = stats(device)
    assert counters["run_us"] == 3 * THROTTLE_PERIOD_US
    assert counters["active_us"] == counters["cpu_us"] == 3 * THROTTLE_PERIOD_US // 5


def test_a_late_timer_makes_the_pause_longer(device: Device) -> None:
    start(device, budget=50)
    device.events()
    schedule = passes(device, PERIOD_MS * 0.6)  # nobody came at 12.5 and 50 percent
    assert device.events() == ["stop 0"]
    now_ns = 5 * MS + round(PERIOD_MS * 0.6 * MS)
    assert schedule.due_ns - now_ns == pytest.approx(PERIOD_MS * 0.6 * MS)  # 60 % run, 60 % paused


def test_the_end_of_a_run_ends_its_budget(device: Device) -> None:
    start(device, budget=20)
    device.engine_says(STATE_EXITED)
    device.command("k", b"\0")
    assert device.slot()["state"] == "exited"
    assert passes(device).due_ns == 0
    device.events()
    again(device)  # all of the CPU
    assert passes(device) == Schedule(0, (TOP - 1, 0))
    assert device.slot()["budget"] == 100


def test_the_watchdog_stops_what_takes_too_long(device: Device) -> None:
    start(device, timeout_ms=300)
    device.events()
    passes(device, 299)
    assert device.slot()["state"] == "running"
    passes(device, 1)
    assert (device.slot()["state"], device.slot()["reason"]) == ("stopped", "watchdog")
    assert device.events() == ["stop 0"]
    assert stats(device)["timeouts"] == 1
    again(device, timeout_ms=300)
    device.engine_says(STATE_EXITED)
    passes(device, 1000)  # it had ended before the timer came
    assert device.slot()["state"] == "exited"
    assert "reason" not in device.slot()
    assert stats(device)["timeouts"] == 1


def test_failures_are_restarted_with_longer_and_longer_waits(device: Device) -> None:
    start(device, args=["x"], restart="on-failure", fuel=77, timeout_ms=10_000)
    generation = device.control()["generation"]
    for failure in range(12):
        device.engine_says(STATE_TRAPPED, text=b"unreachable")
        wait_ms = 100 << min(failure, 8)
        slot = device.slot()
        assert (slot["state"], slot["trap"], slot["restart_ms"]) == ("trapped", "unreachable", wait_ms)
        device.events()
        passes(device, wait_ms - 1)
        assert device.slot()["state"] == "trapped"
        passes(device, 1)
        assert device.slot()["state"] == "running"
        assert device.events() == ["stop 0", "restart 0"]
        control, launch = device.control(), device.launch()
        assert control["generation"] == launch["generation"] == generation + failure + 1
        assert (control["fuel"], control["metered"], launch["args"]) == (77, 1, [b"x"])
    assert stats(device)["retries"] == 12
    assert device.slot()["starts"] == 1
    passes(device, 10_000)  # the watchdog counts as a failure
    assert device.slot()["reason"] == "watchdog"
    assert device.slot()["restart_ms"] == 25_600


def test_a_good_run_makes_waits_short_again(device: Device) -> None:
    start(device, restart="on-failure")
    for _ in range(3):
        device.engine_says(STATE_EXITED, exit_code=1)
        passes(device, device.slot()["restart_ms"])
    passes(device, 60_000)
    device.engine_says(STATE_TRAPPED)
    assert device.slot()["restart_ms"] == 100


def test_what_is_no_failure_is_not_restarted(device: Device) -> None:
    start(device, restart="on-failure")
    device.engine_says(STATE_EXITED, exit_code=0)
    assert "restart_ms" not in device.slot()
    again(device, restart="on-failure")
    device.engine_says(STATE_REFUSED, text=b"invalid")
    assert "restart_ms" not in device.slot()
    again(device, restart="on-failure")
    device.request(WRITE, 64, 2, {"slot": 0})
    assert "restart_ms" not in device.slot()
    again(device, restart="never")
    device.engine_says(STATE_TRAPPED)
    assert "restart_ms" not in device.slot()
    assert passes(device).due_ns == 0


def test_a_stop_or_a_start_ends_the_wait(device: Device) -> None:
    for _ in range(2):
        start(device, restart="on-failure")
        device.engine_says(STATE_TRAPPED)
        assert device.slot()["restart_ms"] == 100
    again(device)
    assert passes(device, 1000).due_ns == 0
    device.engine_says(STATE_TRAPPED)
    again(device, restart="on-failure")
    device.engine_says(STATE_TRAPPED)
    assert device.slot()["restart_ms"] == 100
    device.request(WRITE, 64, 2, {"slot": 0})
    assert passes(device, 1000).due_ns == 0
    assert device.slot()["state"] == "trapped"


def test_a_flood_of_notifications_is_stopped(device: Device) -> None:
    start(device)
    device.events()
    for _ in range(64):
        device.command("k", b"\0")
    assert device.slot()["state"] == "running"
    device.command("k", b"\0")
    assert device.slot()["trap"] == "engine fault: the engine floods the supervisor with notifications"
    assert device.events() == ["stop 0"]
    again(device)
    device.command("k", b"\0")
    assert device.slot()["state"] == "running"


def test_an_engine_that_does_not_come_back_from_its_fault_is_given_up(device: Device) -> None:
    start(device)
    device.fault(address=4)
    assert passes(device, 499).due_ns != 0
    assert device.slot()["state"] == "running"
    assert passes(device, 1).due_ns == 0
    assert device.slot()["trap"] == "engine fault: the engine did not come back from a fault"
    assert stats(device)["traps"] == 1


def test_the_meter_knows_who_goes_before_whom(device: Device) -> None:
    start(device, 0, budget=40)
    start(device, 1)
    passes(device, PERIOD_MS * 0.1)  # assured: slot 0 alone
    passes(device, PERIOD_MS * 0.3)  # background: slot 1 alone
    passes(device, PERIOD_MS * 0.6)  # paused
    zero, one = stats(device, 0), stats(device, 1)
    assert (zero["active_us"], zero["cpu_us"]) == (THROTTLE_PERIOD_US * 2 // 5, THROTTLE_PERIOD_US // 10)
    assert (one["active_us"], one["cpu_us"]) == (THROTTLE_PERIOD_US, THROTTLE_PERIOD_US * 9 // 10)


def test_the_meter_leaves_out_what_a_module_waited(device: Device) -> None:
    start(device, 0)
    start(device, 1)
    device.command("y", struct.pack("<BQQ", 0, 0, 5 * MS))  # slot 0 waits since its start
    passes(device, 40)
    counters = stats(device, 0)
    assert (counters["run_us"], counters["active_us"]) == (40_000, 0)
    assert stats(device, 1)["cpu_us"] == 40_000
    device.command("y", struct.pack("<BQQ", 0, 60 * MS, 0))  # and for 20 ms more, and then no longer
    passes(device, 60)
    assert stats(device, 0)["active_us"] == 40_000
    assert stats(device, 0)["cpu_us"] + stats(device, 1)["cpu_us"] == pytest.approx(100_000, rel=0.01)


@pytest.mark.parametrize("way", ["erase", "reset", "stop"])
def test_what_takes_a_module_away_cancels_its_restart(device: Device, way: str) -> None:
    """No engine is started with nothing, and no slot says that it runs something that is not there."""
    start(device, restart="on-failure", budget=20, timeout_ms=50)
    device.engine_says(STATE_TRAPPED)
    assert device.slot()["restart_ms"] > 0
    device.events()
    if way == "erase":
        assert device.request(WRITE, 1, 5, {"slot": 0}) == {}
    elif way == "reset":
        device.command("z")
    else:
        device.request(WRITE, 64, 2, {"slot": 0})
    assert passes(device, 0).due_ns == 0
    for _ in range(10):
        passes(device, 30_000)
    assert device.events() == []
    assert device.slot()["state"] == ("trapped" if way == "stop" else "empty")
    assert device.request(WRITE, 1, 5, {"slot": 0}) == {}


def test_a_read_of_the_status_decides_nothing(device: Device) -> None:
    """What an engine has said is an event of its own; reading the status changes no slot and starts nothing."""
    start(device, restart="on-failure")
    control = device.control()
    device.events()
    device.command("j", struct.pack("<III", 0, STATE_TRAPPED, control["generation"]))
    for command, body in ((0, {}), (3, {"slot": 0, "cursor": 0}), (4, {"slot": 0}), (6, {})):
        device.request(READ, 64, command, body, events=False)
    device.request(READ, 1, 0, {}, events=False)
    assert device.events() == []
    assert device.request(READ, 64, 0, events=False)["slots"][0]["state"] == "running"
    assert device.slot()["state"] == "trapped"  # the events came first
