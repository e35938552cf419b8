# SPDX-License-Identifier: Apache-2.0
"""The files of a built host simulator: its program, one shared object a domain, and a file of erased flash.

`installed_simulator` puts together what a wheel brought; `qemu.simulator_build` builds the same in a checkout. Erased
flash is 64 MiB of ones that every simulator maps: a wheel does not carry it, it is written once to the build folder.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_engine.paths import BUILD, prebuilt
from sel4_bridge.hardware import DEFAULT_HARDWARE
from sel4_bridge.system import device_system

if TYPE_CHECKING:
    from pathlib import Path

    from sel4_bridge.system import System

__all__ = [
    "DIGEST",
    "DOMAINS",
    "FLASH_PADDR",
    "PROGRAM",
    "SIMULATOR",
    "SimulatorBuild",
    "installed_simulator",
    "write_erased",
]

MIB = 1024 * 1024
SIMULATOR = "simulator"  # the wheel's folder: program, digest, domains/*.so
PROGRAM = "wasel-sim"
DIGEST = "digest"
DOMAINS = "domains"
ERASED = "erased"
FLASH_PADDR = DEFAULT_HARDWARE.flash.paddr if DEFAULT_HARDWARE.flash else None  # the board it simulates is the default


@dataclass(frozen=True)
class SimulatorBuild:
    """A built simulator: its program, the folder of its domains, and a digest of it all."""

    program: Path
    domains: Path
    digest: str


def write_erased(domains: Path, system: System) -> None:
    """Write the image of an erased flash, as large as the system's, into the folder of its domains."""
    output = domains / ERASED
    size = max((region.size for region in system.regions() if region.phys_addr == FLASH_PADDR), default=0)
    if output.exists() and output.stat().st_size == size:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        for _ in range(size // MIB):
            file.write(b"\xff" * MIB)
    temporary.replace(output)


def installed_simulator() -> SimulatorBuild | None:
    """Return the wheel's simulator; None in a checkout."""
    folder = prebuilt("qemu", SIMULATOR)
    if folder is None:
        return None
    digest = (folder / DIGEST).read_text(encoding="ascii").strip()
    domains = BUILD / SIMULATOR / digest
    domains.mkdir(parents=True, exist_ok=True)
    for source in sorted((folder / DOMAINS).iterdir()):
        link = domains / source.name
        if not link.is_symlink() or link.readlink() != source:  # the wheel may have moved
            temporary = domains / f".{source.name}.{os.getpid()}"
            temporary.symlink_to(source)
            temporary.replace(link)
    write_erased(domains, device_system())
    return SimulatorBuild(folder / PROGRAM, domains, digest)
