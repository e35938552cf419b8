# SPDX-License-Identifier: Apache-2.0
"""Boards are rows: the description follows the row, and what a row cannot do is refused by name."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.errors import UsageError
from agent.link.device import Device as Link
from qemu.boards import BOARDS, DEFAULT_BOARD
from qemu.errors import ImageError, MissingToolError
from qemu.launcher import find_qemu, image_for, running_device
from sel4_bridge.build import BuildError, build_device
from sel4_bridge.hardware import DEFAULT_HARDWARE, HARDWARE, find_hardware
from sel4_bridge.libmicrokit import sdk_board_folder, sdk_withholds_timer
from sel4_bridge.system import device_system, layout_header, system_xml
from tests.system import modules as m
from tests.system.conftest import run_module

OTHERS = [board for board in BOARDS if board.name != DEFAULT_BOARD]


def test_every_board_under_qemu_has_hardware() -> None:
    assert {board.name for board in BOARDS} <= {hardware.name for hardware in HARDWARE}
    assert DEFAULT_HARDWARE.name == DEFAULT_BOARD
    for board in BOARDS:
        assert bool(board.flash) == (find_hardware(board.name).flash is not None)


@pytest.mark.parametrize("hardware", HARDWARE, ids=lambda hardware: hardware.name)
def test_the_description_follows_the_row(hardware) -> None:
    system = device_system(hardware)
    assert layout_header(system) == layout_header(device_system())  # one set of headers for all boards
    places = {region.name: region.phys_addr for region in system.regions() if region.phys_addr is not None}
    wanted = {"uart": hardware.uart.paddr, "rtc": hardware.rtc_paddr}
    wanted["flash"] = None if hardware.flash is None else hardware.flash.paddr
    assert places == {name: place for name, place in wanted.items() if place is not None}
    irqs = {irq.number for domain in system.all_domains() for irq in domain.irqs}
    assert irqs == {hardware.uart.irq, hardware.timer_irq}
    assert f'phys_addr="{hardware.uart.paddr:#x}"' in system_xml(system)


def test_what_there_is_not_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"no board 'abacus'; there are: qemu_virt_aarch64"):
        build_device("standin", board="abacus")
    for board in OTHERS:
        with pytest.raises(UsageError, match=f"board {board.name} has no kernel 'standin'; it has: sel4"):
            board.kernel("standin")
        with pytest.raises(BuildError, match=f"{DEFAULT_BOARD} only, not {board.name}"):
            build_device("standin", board=board.name)


def test_an_sdk_without_the_board_or_the_timer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="not a Microkit SDK with this board"):
        build_device("sel4", tmp_path, board=OTHERS[0].name)
    folder = tmp_path / "board" / OTHERS[0].name / "release"
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "libmicrokit.a").touch()
    (folder / "include" / "kernel").mkdir(parents=True)
    settings = folder / "include" / "kernel" / "gen_config.json"
    for text, withheld in (
        ("{", False),  # said otherwise in another release, perhaps
        (json.dumps({"EXPORT_PCNT_USER": True}), False),
        (json.dumps({"EXPORT_PCNT_USER": True, "EXPORT_PTMR_USER": True}), False),
        (json.dumps({"EXPORT_PCNT_USER": True, "EXPORT_PTMR_USER": False}), True),
    ):
        settings.write_text(text)
        assert sdk_withholds_timer(tmp_path, OTHERS[0].name) == withheld
    with pytest.raises(BuildError, match="KernelArmExportPTMRUser"):
        build_device("sel4", tmp_path, board=OTHERS[0].name)


@pytest.mark.system
@pytest.mark.parametrize("board", OTHERS, ids=lambda board: board.name)
async def test_a_second_board_runs_modules(board, tmp_path: Path) -> None:
    sdk = os.environ.get("MICROKIT_SDK")
    try:
        find_qemu(board)
        sdk_board_folder(Path(sdk or "MICROKIT_SDK is not set"), board=board.name)
        image = image_for("sel4", board.name)
    except (MissingToolError, FileNotFoundError, ImageError) as missing:
        pytest.skip(f"needs QEMU and an SDK with {board.name}: {missing}")
    source = r"""
    #include <stdio.h>
    int main(int argc, char **argv) {
        for (int i = 0; i < 5000; i++) { printf("%s %d\n", argv[argc - 1], i); }
        return 3;
    }"""
    module = m.compile_c(source)
    padded = module + b"\0\x85\x80\x04\x01p" + bytes(65539 - 0)  # a custom section: 64 KiB more to upload
    async with (
        running_device("board", kernel="sel4", board=board.name, image=image, root=tmp_path) as device,
        Link(device.record.port, name="board") as link,
    ):
        assert (await link.status()).board == board.name
        for slot in (0, 1):
            ended = await run_module(link, slot, padded, ("module", f"slot {slot}"))
            assert ended.stdout == b"".join(b"slot %d %d\n" % (slot, i) for i in range(5000))
            assert (ended.status.state, ended.status.exit) == ("exited", 3)
    assert not (device.folder / "flash.img").exists()
