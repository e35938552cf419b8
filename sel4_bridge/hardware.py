# SPDX-License-Identifier: Apache-2.0
"""The hardware that a device runs on, as data: where the devices lie that our drivers drive, and their interrupts.

A second board is a row of HARDWARE and, where its UART is none that we have, a driver in sel4_bridge/uart. The name is
the Microkit SDK's. What a board does not have is None: without flash, modules live in RAM; without a clock, the time is
what the agent says. Addresses that only one board has stand nowhere else.

Does not say how QEMU emulates a board: that is qemu/boards.py. Sources: QEMU's "virt" machine
(https://www.qemu.org/docs/master/system/arm/virt.html); Zynq UltraScale+ Device Technical Reference Manual (UG1085),
tables "PS I/O Peripherals" and "GIC shared peripheral interrupts".
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.errors import UsageError

__all__ = ["DEFAULT_HARDWARE", "HARDWARE", "Flash", "Hardware", "Uart", "find_hardware"]

MIB = 1024 * 1024


@dataclass(frozen=True)
class Uart:
    """A UART: `driver` names the header NAME_driver.h of sel4_bridge/uart."""

    driver: str
    paddr: int
    irq: int


@dataclass(frozen=True)
class Flash:
    """NOR flash with the common flash interface, as memory."""

    paddr: int
    size: int  # bytes


@dataclass(frozen=True)
class Hardware:
    """One board."""

    name: str
    uart: Uart
    rtc_paddr: int | None  # of a PL031
    flash: Flash | None
    timer_irq: int = 30  # of the physical timer CNTP: the same on every Arm core with a generic timer and a GIC

    def header(self) -> str:
        """Return what C code must know of the board, as `sb_board.h`."""
        return (
            "/* SPDX-License-Identifier: Apache-2.0 */\n"
            f"/* Generated from sel4_bridge/hardware.py: the board {self.name}. Do not edit. */\n#pragma once\n\n"
            f'#define SB_BOARD "{self.name}"\n'
            f'#define SB_UART_DRIVER "{self.uart.driver}_driver.h"\n'
            f"#define SB_FLASH_SIZE {self.flash.size if self.flash else 0}u /* bytes, 0: there is none */\n"
        )


HARDWARE: tuple[Hardware, ...] = (
    Hardware(
        "qemu_virt_aarch64",
        uart=Uart("pl011", 0x0900_0000, 33),
        rtc_paddr=0x0901_0000,
        flash=Flash(0x0400_0000, 64 * MIB),  # bank 1; QEMU keeps bank 0 for firmware
    ),
    Hardware(
        "zcu102",
        uart=Uart("cadence", 0xFF00_0000, 53),
        rtc_paddr=None,
        flash=None,  # its flash hangs on a quad-SPI controller that we have no driver for
    ),
)
DEFAULT_HARDWARE = HARDWARE[0]


def find_hardware(name: str) -> Hardware:
    """Find the row of that board, or UsageError naming those there are."""
    for hardware in HARDWARE:
        if hardware.name == name:
            return hardware
    raise UsageError(f"no board {name!r}; there are: {', '.join(each.name for each in HARDWARE)}")
