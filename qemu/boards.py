# SPDX-License-Identifier: Apache-2.0
"""The boards and kernels that a device can be started on under QEMU, as data.

A board is a row: which QEMU machine it is, and for each kernel how that kernel's image is put into its memory. What
lies where on it is the row of the same name in sel4_bridge/hardware.py; nothing else chooses by board or kernel name.

Does not start anything (launcher.py) and does not build images (sel4_bridge.build).
Sources: QEMU's "virt" machine (https://www.qemu.org/docs/master/system/arm/virt.html), the Microkit manual's pages on
the boards for the loader's address.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import UsageError
from agent.text import KERNEL_TITLES
from qemu.image import DEFAULT_RAM_MIB

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BOARDS", "DEFAULT_BOARD", "DEFAULT_KERNEL", "Board", "Kernel", "find_board"]


@dataclass(frozen=True)
class Kernel:
    """How one kernel and its image run on a board."""

    name: str  # what --kernel takes
    title: str  # what people read; the device's banner must say the same
    machine: str  # value of -machine
    memory_mib: int  # value of -m
    image: str  # file name of the built image
    load: tuple[str, ...]  # QEMU arguments that load it; "{image}" stands for its path

    def load_arguments(self, image: Path) -> list[str]:
        """Fill in the image's path; commas are doubled as QEMU's option syntax wants."""
        path = str(image).replace(",", ",,")
        return [argument.replace("{image}", path) for argument in self.load]


@dataclass(frozen=True)
class Board:
    """A machine that QEMU emulates, with one UART for everything."""

    name: str  # the Microkit SDK's name of the board
    program: str  # QEMU's executable
    package: str  # the Debian package it comes in
    cpu: str | None  # value of -cpu, None: the machine has its own
    flash: tuple[str, ...]  # QEMU arguments that put flash in; "{file}" stands for its path. Empty: there is none
    kernels: tuple[Kernel, ...]

    def kernel(self, name: str | None = None) -> Kernel:
        """Find the row of that kernel, None: the first; or UsageError naming those there are."""
        if name is None:
            return self.kernels[0]
        for kernel in self.kernels:
            if kernel.name == name:
                return kernel
        known = ", ".join(kernel.name for kernel in self.kernels)
        raise UsageError(f"board {self.name} has no kernel {name!r}; it has: {known}")


BOARDS: tuple[Board, ...] = (
    Board(
        name="qemu_virt_aarch64",
        program="qemu-system-aarch64",
        package="qemu-system-arm",
        cpu="cortex-a53",
        flash=("-drive", "if=pflash,unit=1,format=raw,file={file}"),  # unit 0 is the firmware's
        kernels=(
            Kernel(
                name="standin",
                title=KERNEL_TITLES["stand-in"],
                machine="virt",
                memory_mib=DEFAULT_RAM_MIB,
                image="image.bin",
                load=("-kernel", "{image}"),
            ),
            Kernel(
                name="sel4",
                title=KERNEL_TITLES["sel4"],
                machine="virt,virtualization=on",
                memory_mib=2048,
                image="loader.img",
                load=("-device", "loader,file={image},addr=0x70000000,cpu-num=0"),
            ),
        ),
    ),
    Board(
        name="zcu102",
        program="qemu-system-aarch64",
        package="qemu-system-arm",
        cpu=None,
        flash=(),
        kernels=(
            Kernel(
                name="sel4",
                title=KERNEL_TITLES["sel4"],
                machine="xlnx-zcu102,secure=on,virtualization=on",
                memory_mib=4096,
                image="loader.img",
                load=("-audiodev", "none,id=none", "-device", "loader,file={image},addr=0x40000000,cpu-num=0"),
            ),
        ),
    ),
)
DEFAULT_BOARD = BOARDS[0].name
DEFAULT_KERNEL = BOARDS[0].kernels[0].name


def find_board(name: str) -> Board:
    """Find the row of that board, or UsageError naming those there are."""
    for board in BOARDS:
        if board.name == name:
            return board
    known = ", ".join(board.name for board in BOARDS)
    raise UsageError(f"no board {name!r}; there are: {known}")
