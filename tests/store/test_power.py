# SPDX-License-Identifier: Apache-2.0
"""Power cuts at every flash operation of an update: supervisor, store, littlefs and driver on the host, sanitized."""

import subprocess
from pathlib import Path

import pytest

from edge_engine.zig import HOST, ROOT, compile_objects, link
from sel4_bridge.build import CRYPTO_SOURCES, STORE_SOURCES, SUPERVISOR_SOURCES, compile_zig, write_sources
from sel4_bridge.littlefs import LITTLEFS_FOLDER
from tests.supervisor.device import FLAGS, SANITIZE, TRAP, sanitizer_runtime

HERE = Path(__file__).parent
PARTS = 2  # processes at a time


@pytest.fixture(scope="session")
def power() -> Path:
    write_sources()
    runtime = sanitizer_runtime()
    flags = (f"-I{HERE / 'include'}", f"-I{HERE}", *FLAGS, f"-I{STORE_SOURCES[0].parent}", f"-isystem{LITTLEFS_FOLDER}")
    out = ROOT / "build" / "host-store"
    sources = [*SUPERVISOR_SOURCES, *STORE_SOURCES, HERE / "chips.c", HERE / "power.c"]
    objects = compile_objects(sources, out / "obj", HOST, (*flags, *(SANITIZE if runtime else TRAP)))
    for source in CRYPTO_SOURCES:
        objects.append(compile_zig(source, out / "obj" / f"{source.stem}.o", HOST, "build-obj", ("-fPIC",)))
    return link(objects, out / "power", HOST, runtime)


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
    power: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = operations(power)
    assert count >= 200
    lines = run(*([str(power), "linear", str(part), str(PARTS)] for part in range(PARTS)))
    cuts = [int(line.split()[1]) for line in lines]
    assert all(line.endswith("violations 0") for line in lines)
    assert sum(cuts) == 3 * count
    with capsys.disabled():
        print(f"\npower cuts: {count} flash operations, {sum(cuts)} cuts (before, half way, after), 0 violations")


def test_a_second_cut_during_what_follows_the_first(power: Path) -> None:
    assert run(*([str(power), "pairs", str(seed), "40"] for seed in (1, 2))) == ["cuts 80 violations 0"] * 2


def test_chips_without_a_write_buffer(power: Path) -> None:
    assert run([str(power), "words"]) == ["cuts 0 violations 0"]
