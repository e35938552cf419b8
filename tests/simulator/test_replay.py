# SPDX-License-Identifier: Apache-2.0
"""Runs that repeat: by seed in virtual time, and by recording in any."""

from itertools import pairwise
from pathlib import Path

import pytest

from agent.errors import TrapError, UsageError
from agent.run_request import RunRequest
from qemu import sim
from qemu.errors import DeviceStateError


def run(request: RunRequest, capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What the module printed, and how it ended."""
    try:
        end = str(sim.run(request))
    except TrapError as trap:
        end = str(trap)
    return capfd.readouterr().out, end


def test_virtual_time_repeats_by_seed(program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def once(seed: int) -> tuple[str, str]:
        return run(RunRequest(program, ("cscsce",), time="virtual", seed=seed), capfd)

    first = once(1)
    assert once(1) == first
    assert once(2) != first
    times = [float(line) for line in first[0].splitlines()[1:]]
    assert [round(later - earlier, 3) for earlier, later in pairwise(times)] == [2.0, 2.0]


@pytest.mark.parametrize("time", ["real", "virtual"])
@pytest.mark.parametrize("steps", ["cu", "co", "ce"])
def test_a_recorded_run_ends_again_where_it_ended(
    program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], time: str, steps: str
) -> None:
    recording = tmp_path / "run"
    first = run(RunRequest(program, (steps,), time=time, record=recording), capfd)
    assert steps == "ce" or "_start (function" in first[1]
    assert run(RunRequest(program, replay=recording), capfd) == first


def test_a_run_that_was_interrupted_replays(program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    recording = tmp_path / "run"
    first = run(RunRequest(program, ("cbcu",), record=recording), capfd)  # computes over many slices
    assert run(RunRequest(program, replay=recording), capfd) == first


def test_a_recording_that_was_cut_off_replays_so_far(
    program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "run"
    out, _ = run(RunRequest(program, ("ccce",), record=recording), capfd)
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) - 40])
    records = sim.replay(recording).records
    said = b"".join(data + b"\n" * ends for _, stream, ends, data in records if stream == 1)
    assert out.encode().startswith(said)


def test_what_is_no_recording_is_refused(program: Path, tmp_path: Path) -> None:
    recording = tmp_path / "run"
    for content in (b"", b"\n", b"wasel-sim-1 real - 0 0000\nE\0\0", program.read_bytes()):
        recording.write_bytes(content)
        with pytest.raises(DeviceStateError, match="cannot be replayed"):
            sim.run(RunRequest(program, replay=recording))
    with pytest.raises(UsageError, match="no such file"):
        sim.run(RunRequest(program, replay=tmp_path / "none"))
    with pytest.raises(UsageError, match="--seed"):
        sim.run(RunRequest(program, replay=recording, seed=1))


def test_a_recording_of_another_module_is_refused(
    program: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recording = tmp_path / "run"
    run(RunRequest(program, ("c",), record=recording), capfd)
    other = tmp_path / "other.wasm"
    other.write_bytes(program.read_bytes() + b"\0\x02\x01x")
    with pytest.raises(UsageError, match="not the module"):
        sim.run(RunRequest(other, replay=recording))
