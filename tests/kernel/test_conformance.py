# SPDX-License-Identifier: Apache-2.0
"""The conformance systems print the same on the stand-in kernel and on genuine seL4: what expected/ holds."""

from __future__ import annotations

import shutil

import pytest

from tests.kernel import machine

SYSTEMS = sorted(path.stem for path in machine.HERE.glob("*.system"))

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="qemu-system-aarch64 is not installed"),
]


def needs(variant: str) -> None:
    if variant != "own" and machine.sdk() is None:
        pytest.skip("MICROKIT_SDK does not name an unpacked Microkit SDK")


@pytest.mark.parametrize("variant", machine.VARIANTS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_system_prints_what_is_expected(system: str, variant: str) -> None:
    needs(variant)
    expected = (machine.HERE / "expected" / f"{system}.txt").read_text().splitlines()
    assert machine.run(machine.build(f"{system}.system", variant), variant) == expected


def test_the_stand_in_boots_from_el2_too() -> None:
    image = machine.build("timer.system", "own")
    command = machine.command(image, "own")
    command[command.index("virt")] = "virt,virtualization=on"
    expected = (machine.HERE / "expected" / "timer.txt").read_text().splitlines()
    assert machine.run_command(command) == expected


def test_less_ram_than_the_image_was_built_for_is_said() -> None:
    image = machine.build("ipc.system", "own")
    large = image.with_name("ipc.large.bin")
    machine.build_image(machine.HERE / "ipc.system", image.parent, large, ram_mib=256)
    command = machine.command(large, "own")
    command[command.index("256M")] = "8M"
    lines = machine.run_command(command, end=r"stand-in kernel: stopped \(less RAM than the image was built for\?\)")
    assert any(line.startswith("stand-in kernel: exception in the kernel") for line in lines)


def test_a_root_domain_that_faults_is_named_and_the_others_go_on() -> None:
    image = machine.build("ipc.system", "own")
    folder = image.parent
    broken = folder / "broken.system"
    text = (machine.HERE / "ipc.system").read_text()
    broken.write_text(
        text.replace('<map mr="uart" vaddr="0x2000000"', '<map mr="uart" vaddr="0x7000000"', 1).replace(
            ' setvar_vaddr="uart_base"', "", 1
        )
    )
    target = folder / "broken.bin"
    machine.build_image(broken, folder, target)
    told = r"stand-in kernel: domain 'low' faulted and is stopped: label 0x6 pc 0x\w+ 0x18.*"
    lines = machine.run_command(machine.command(target, "own"), end=told)
    assert lines[-1] == "client: notified on 2"
