# SPDX-License-Identifier: Apache-2.0
"""Tests of one module, on a simulated device and on one under QEMU."""

from pathlib import Path

import pytest

from qemu.subject import Subject


def test_it_greets(wasel_sim: Subject, greeter: Path) -> None:
    result = wasel_sim.run(greeter, "world")
    assert (result.exit_code, result.stdout) == (0, "hello, world\n")


def test_it_asks_whom(wasel_sim: Subject, greeter: Path) -> None:
    result = wasel_sim.run(greeter)
    assert (result.exit_code, result.stderr) == (2, "whom?\n")


def test_an_empty_name_is_a_trap(wasel_sim: Subject, greeter: Path) -> None:
    result = wasel_sim.run(greeter, "")
    assert (result.state, result.trap) == ("trapped", "unreachable")
    assert "_start" in result.backtrace


@pytest.mark.wasel(time="virtual")
def test_an_hour_passes_at_once(wasel_sim: Subject, greeter: Path) -> None:
    result = wasel_sim.run(greeter, "world", "3600")
    assert result.stdout.count("hello, world\n") == 3600


def test_it_runs_until_it_is_stopped(wasel_sim: Subject, greeter: Path) -> None:
    wasel_sim.flash(greeter)
    wasel_sim.start(args=("greeter", "world", "1000"))
    wasel_sim.expect(r"^hello, (\w+)$")
    wasel_sim.stop()
    assert wasel_sim.status().state == "stopped"


def test_it_starts_after_power_cut_and_reset(wasel_sim: Subject, greeter: Path) -> None:
    wasel_sim.flash(greeter)
    wasel_sim.power_cut()
    wasel_sim.power_on()
    assert wasel_sim.run(greeter, "again").stdout == "hello, again\n"
    wasel_sim.reset()
    assert wasel_sim.run(greeter, "you").stdout == "hello, you\n"


def test_a_bad_line_costs_time_only(wasel_sim: Subject, greeter: Path) -> None:
    wasel_sim.faults.drop = wasel_sim.faults.corrupt = 0.00001  # of all bytes, both ways
    assert wasel_sim.run(greeter, "world").stdout == "hello, world\n"


def test_it_greets_under_qemu_too(wasel_device: Subject, greeter: Path) -> None:
    wasel_device.flash(greeter)
    wasel_device.start(args=("greeter", "world"))
    wasel_device.expect("hello, world")
