# SPDX-License-Identifier: Apache-2.0
"""The flash of the simulator under a driver: what its data sheet says, and the power going at every write."""

import struct
from pathlib import Path

import pytest

from qemu.sim import POWER_CUT_EXIT
from qemu.simulator_build import FLASH_PADDR, SimulatorBuild
from sel4_bridge.system import Region
from tests.simulator.conftest import build_probe, run_probe

SIZE = 1 << 20
SECTOR = 1 << 18
BUFFER = 2048
COMMIT = 0x600DF00D
OPERATIONS = 6  # two words, an erase, two buffers, a word


@pytest.fixture(scope="module")
def probe() -> SimulatorBuild:
    return build_probe("flash_probe.c", Region("flash", SIZE, phys_addr=FLASH_PADDR), "rw", "sb_flash_vaddr")


def body(seed: int) -> bytes:
    return struct.pack("<512I", *range(seed, seed + 512))


def test_the_driver_finds_a_chip_that_keeps_to_its_data_sheet(probe: SimulatorBuild, tmp_path: Path) -> None:
    file = tmp_path / "flash"
    done = run_probe(probe, "--flash", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    data = file.read_bytes()
    assert data[:4] == struct.pack("<I", 0x5678)
    assert data[SECTOR : SECTOR + 4] == struct.pack("<I", COMMIT)
    assert data[SECTOR + BUFFER : SECTOR + 3 * BUFFER] == body(1000) + body(5000)
    assert data[SECTOR + 3 * BUFFER : 2 * SECTOR].strip(b"\xff") == b""
    assert (tmp_path / "flash.count").read_text() == f"{OPERATIONS}\n"


def test_flash_keeps_over_starts_and_erases_what_was(probe: SimulatorBuild, tmp_path: Path) -> None:
    file = tmp_path / "flash"
    file.write_bytes(bytes(SIZE))
    done = run_probe(probe, "--flash", str(file))
    assert done.returncode == 70  # programming 0x0000ffff over zeros gives zeros, and the driver notices
    assert "probe faulted" in done.stderr


@pytest.mark.parametrize("phase", ["before", "half", "after"])
def test_power_cut_at_every_operation(probe: SimulatorBuild, tmp_path: Path, phase: str) -> None:
    states = set()
    for number in range(1, OPERATIONS + 1):
        file = tmp_path / f"flash{number}"
        done = run_probe(probe, "--flash", str(file), "--cut", f"{number}:{phase}")
        assert done.returncode == POWER_CUT_EXIT
        data = file.read_bytes()
        states.add(data)
        if data[SECTOR : SECTOR + 4] == struct.pack("<I", COMMIT):
            assert data[SECTOR + BUFFER : SECTOR + 3 * BUFFER] == body(1000) + body(5000)
            assert (number, phase) == (OPERATIONS, "after")
    assert len(states) >= OPERATIONS - 2  # half an erase of an erased sector leaves no trace


def test_a_plain_read_outside_array_mode_is_a_fault() -> None:
    region = Region("flash", SIZE, phys_addr=FLASH_PADDR)
    done = run_probe(build_probe("bad_probe.c", region, "rw", "sb_table_vaddr", flags="4"))
    assert done.returncode == 70
    assert "domain probe faulted: label 6" in done.stderr


def test_half_a_buffer_is_its_first_half(probe: SimulatorBuild, tmp_path: Path) -> None:
    file = tmp_path / "flash"
    run_probe(probe, "--flash", str(file), "--cut", "4:half")
    data = file.read_bytes()
    assert data[SECTOR + BUFFER : SECTOR + 2 * BUFFER] == body(1000)[: BUFFER // 2] + b"\xff" * (BUFFER // 2)
