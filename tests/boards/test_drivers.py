# SPDX-License-Identifier: Apache-2.0
"""Each UART driver keeps driver.h's contract against a model of its registers, and compiles for the device."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from edge_engine.zig import DEVICE, ROOT, TIMEOUT_S, compile_objects
from sel4_bridge.generate import INCLUDE_FLAGS
from sel4_bridge.hardware import HARDWARE
from sel4_bridge.libmicrokit import PD_FLAGS, include_flags

UART = ROOT / "sel4_bridge" / "uart"
DRIVERS = sorted({hardware.uart.driver for hardware in HARDWARE})


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_keeps_its_contract(driver: str, tmp_path: Path) -> None:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not installed: the sanitizers' libraries are its own")
    program = tmp_path / "drivers"
    command = [gcc, "-std=gnu17", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined"]
    command += [f'-DSB_UART_DRIVER="{driver}_driver.h"', f"-I{ROOT / 'qemu' / 'simulator' / 'include'}", f"-I{UART}"]
    subprocess.run([*command, str(Path(__file__).with_name("drivers.c")), "-o", str(program)], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert (done.returncode, done.stdout) == (0, "held\n"), done.stderr


@pytest.mark.parametrize("hardware", HARDWARE, ids=lambda hardware: hardware.name)
def test_the_uarts_domain_compiles_for_each_board(hardware, tmp_path: Path) -> None:
    from sel4_bridge.build import write_sources  # noqa: PLC0415  fetches littlefs the first time

    write_sources()
    header = tmp_path / "sb_board.h"
    header.write_text(hardware.header())
    flags = (*PD_FLAGS, f"-I{tmp_path}", *INCLUDE_FLAGS, *include_flags())
    assert compile_objects([UART / "uart.c"], tmp_path, DEVICE, flags)
