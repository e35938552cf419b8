# SPDX-License-Identifier: Apache-2.0
"""Power cuts at every flash operation of an update: supervisor, store, littlefs and driver on the host, sanitized."""

import subprocess
from pathlib import Path

import pytest

from tests.store.program import build_power

PARTS = 2  # processes at a time


@pytest.fixture(scope="session")
def power() -> Path:
    return build_power()


@pytest.fixture(scope="session")
def fast() -> Path:
    """Without sanitizers: every cut counts here; the pairs look for what sanitizers see."""
    return build_power(sanitize=False)


def run(*commands: list[str]) -> list[str]:
    """Run commands at the same time; their last lines."""
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    try:
        texts = [process.communicate(timeout=500)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * len(commands), "\n".join(texts)
    return [text.splitlines()[-1] for text in texts]


def operations(power: Path) -> int:
    counted = subprocess.run([power, "count"], capture_output=True, text=True, check=True, timeout=100)
    return int(counted.stdout.split()[1])


def test_at_every_cut_the_old_or_the_new_module_runs_and_a_retry_completes(
    fast: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = operations(fast)
    assert count >= 200
    lines = run(*([str(fast), "linear", str(part), str(PARTS)] for part in range(PARTS)))
    cuts = [int(line.split()[3]) for line in lines]
    resumed = sum(int(line.split()[1]) for line in lines)
    assert resumed >= count // 4  # what the cut interrupted goes on where flash has it
    assert all(line.endswith("violations 0") for line in lines)
    assert sum(cuts) == 3 * count
    with capsys.disabled():
        print(
            f"\npower cuts: {count} flash operations, {sum(cuts)} cuts (before, half way, after), 0 violations, "
            f"{resumed} uploads resumed"
        )


def test_a_second_cut_during_what_follows_the_first(power: Path) -> None:
    for line in run(*([str(power), "pairs", str(seed), "15"] for seed in (1, 2))):
        assert line.endswith(" cuts 30 violations 0")


def test_chips_without_a_write_buffer(power: Path) -> None:
    assert run([str(power), "words"]) == ["resumed 0 cuts 0 violations 0"]
