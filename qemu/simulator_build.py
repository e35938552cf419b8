# SPDX-License-Identifier: Apache-2.0
"""Build the host simulator: its program, and each protection domain of the device as a shared object of its own.

Contract: the domains' sources are those of `sel4_bridge.build`, compiled for this machine with the simulator's headers
before the bridge's (qemu/simulator/include); the description is `sel4_bridge.system`'s, as the table sim_system.h.
Writes below build/simulator (or build/simulator-sanitize) only; what has not changed is not built again.

The sanitizer build is compiled by the same compiler and linked by the system's gcc, as edge_engine.build explains.

Errors: edge_engine.zig.ToolError carries what the compiler said.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_engine.build import PRELOADS, SANITIZE_FLAGS, find_gcc_library
from edge_engine.files import write_if_changed
from edge_engine.paths import BUILD, ROOT
from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES
from edge_engine.zig import HOST, WARNINGS, Target, compile_objects, link
from qemu.simulator_files import DOMAINS, FLASH_PADDR, PROGRAM, SIMULATOR, SimulatorBuild, write_erased
from sel4_bridge.build import DOMAIN_SOURCES, compile_zig, write_sources
from sel4_bridge.generate import INCLUDE_FLAGS
from sel4_bridge.hardware import DEFAULT_HARDWARE
from sel4_bridge.libmicrokit import LIBMICROKIT_INCLUDE, LIBMICROKIT_SOURCES
from sel4_bridge.system import (
    ARENA_VADDR,
    GUARD_SIZE,
    PAGE,
    System,
    device_system,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FLASH_PADDR", "build_simulator", "system_table"]

FOLDER = ROOT / "qemu" / "simulator"

BRIDGE = ROOT / "sel4_bridge"
ENGINE_ENTRY = 0x1000  # stands for an engine's entry point, which is no address here

PROGRAM_SOURCES = tuple(
    FOLDER / f"{name}.c"
    for name in ("clock", "context", "domain", "flash", "kernel", "main", "memory", "record", "schedule", "uart")
)
DEVICE_ONLY = {BRIDGE / "engine" / name for name in ("coroutine.c", "switch.S", "entry.S")}  # AArch64's stacks
PIC = Target("host", HOST.triple, ("-fPIC",))
FLAGS = (
    "-std=gnu17",
    "-O2",
    "-g",
    "-fPIC",
    "-fno-strict-aliasing",
    "-fno-sanitize=all",
    "-fno-omit-frame-pointer",
    *WARNINGS,
)


def system_table(system: System) -> str:
    """Return the description as the C tables of sim_system.h."""
    domains = system.all_domains()
    index = {domain.name: number for number, domain in enumerate(domains)}
    parents = {child.name: (parent.name, number) for parent in domains for number, child in parent.children}
    regions = system.regions()
    domain_rows = []
    map_rows = []
    irq_rows = []
    for domain in domains:
        parent, child = parents.get(domain.name, ("", 0))
        domain_rows.append(
            f'{{"{domain.name}", {domain.priority}, {index.get(parent, -1)}, {child}, '
            f"{domain.budget_us}u, {domain.period_us}u}}"
        )
        for mapping in domain.maps:
            hole = GUARD_SIZE if mapping.vaddr == ARENA_VADDR else PAGE
            access = ", ".join("true" if letter in mapping.perms else "false" for letter in "rwx")
            map_rows.append(
                f'{{{index[domain.name]}, {regions.index(mapping.region)}, {access}, {hole:#x}u, "{mapping.symbol}"}}'
            )
        irq_rows += [f"{{{index[domain.name]}, {irq.number}, {irq.channel}u}}" for irq in domain.irqs]
    region_rows = [
        f'{{"{region.name}", {region.size:#x}u, {"false" if region.phys_addr is None else "true"}, '
        f"{region.phys_addr or 0:#x}u}}"
        for region in regions
    ]
    end_rows = [
        f"{{{index[end.domain]}, {end.channel}u, {index[other.domain]}, {other.channel}u, {str(end.calls).lower()}}}"
        for channel in system.channels
        for end, other in ((channel.first, channel.second), (channel.second, channel.first))
    ]
    tables = (
        (
            "domain",
            "const char *name; int priority, parent; unsigned child; uint64_t budget_us, period_us;",
            domain_rows,
        ),
        ("region", "const char *name; uint64_t size; bool is_device; uint64_t address;", region_rows),
        ("map", "int domain, region; bool read, write, execute; uint64_t hole; const char *symbol;", map_rows),
        ("irq", "int domain, number; unsigned channel;", irq_rows),
        ("end", "int domain; unsigned channel; int peer; unsigned peer_channel; bool calls;", end_rows),
    )
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Generated from sel4_bridge/system.py: the system description as tables. Do not edit. */",
        "#pragma once",
        "",
        "#include <stdbool.h>",
        "#include <stdint.h>",
        "",
        f"#define SIM_ENTRY {ENGINE_ENTRY:#x}u",
        f"#define SIM_UART_ADDRESS {DEFAULT_HARDWARE.uart.paddr:#x}u",
        f"#define SIM_RTC_ADDRESS {DEFAULT_HARDWARE.rtc_paddr:#x}u",
        f"#define SIM_FLASH_ADDRESS {FLASH_PADDR or 0:#x}u",
        f"#define SIM_UART_IRQ {DEFAULT_HARDWARE.uart.irq}",
        f"#define SIM_TIMER_IRQ {DEFAULT_HARDWARE.timer_irq}",
    ]
    for name, fields, rows in tables:
        lines += [
            "",
            f"struct sim_{name}_row {{ {fields} }};",
            f"enum {{ SIM_{name.upper()}S = {len(rows)} }};",
            f"__attribute__((unused)) static const struct sim_{name}_row sim_{name}s[] = {{",
            *(f"    {row}," for row in rows),
            "};",
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Builder:
    out: Path
    sanitize: bool
    sources: Mapping[str, tuple[Path, ...]]  # of each domain

    def flags(self, *wanted: str) -> tuple[str, ...]:
        """Return `wanted`, with sanitizers if this build has them."""
        if not self.sanitize:
            return wanted
        return (*(flag for flag in wanted if flag != "-fno-sanitize=all"), *SANITIZE_FLAGS)

    def domain_flags(self) -> tuple[str, ...]:
        return self.flags(
            *FLAGS,
            f"-I{FOLDER / 'include'}",
            *INCLUDE_FLAGS,
            f"-I{self.out / 'generated'}",
            f"-I{FOLDER}",
            f"-isystem{LIBMICROKIT_INCLUDE}",
            # The start of a static program's constructors; a shared object's have run when it is loaded.
            "-D__init_array_start=sim_no_init_array",
            "-D__init_array_end=sim_no_init_array",
        )

    def runtime(self) -> tuple[str, ...]:
        return tuple(find_gcc_library(name) for name in PRELOADS) if self.sanitize else ()

    def program(self) -> Path:
        flags = self.flags(
            *FLAGS, f"-I{FOLDER / 'include'}", f"-I{self.out / 'generated'}", f"-isystem{LIBMICROKIT_INCLUDE}"
        )
        switch = FOLDER / "switch_x86_64.S" if os.uname().machine == "x86_64" else BRIDGE / "engine" / "switch.S"
        objects = compile_objects((*PROGRAM_SOURCES, switch), self.out / "program", HOST, flags)
        return link(objects, self.out / PROGRAM, HOST, ("-rdynamic", *self.runtime()))

    def domain(self, name: str) -> Path:
        wanted = [source for source in self.sources[name] if source not in DEVICE_ONLY]
        sources = [source for source in wanted if source.suffix != ".zig"]
        sources += [source for source in LIBMICROKIT_SOURCES if source.suffix == ".c"]
        sources.append(FOLDER / "domain_glue.c")
        if name == "engine":
            sources.append(FOLDER / "coroutine.c")
        objects = compile_objects(sources, self.out / name, HOST, self.domain_flags())
        objects += [
            compile_zig(source, self.out / f"{source.stem}.o", PIC) for source in wanted if source.suffix == ".zig"
        ]
        if name == "engine":
            objects += compile_objects(
                ENGINE_SOURCES, self.out / "edge_engine", HOST, self.flags(*ENGINE_FLAGS, "-fPIC")
            )
        flags = ("-shared", "-Wl,-Bsymbolic", "-Wl,-z,undefs", *self.runtime())
        return link(objects, self.out / f"{name}.so", HOST, flags)

    def images(self) -> dict[str, Path]:
        """Build every domain; their files by the names that the description has for them."""
        write_if_changed(
            self.out / "generated" / "sb_engine_entry.h",
            "/* SPDX-License-Identifier: Apache-2.0 */\n"
            "/* Generated: where an engine is restarted. */\n#pragma once\n\n"
            f"#define SB_ENGINE_ENTRY {ENGINE_ENTRY:#x}u\n",
        )
        return {f"{name}.elf": self.domain(name) for name in self.sources}


def _copy(source: Path, output: Path) -> None:
    """Give a domain its own file: a shared object is loaded once per file."""
    data = source.read_bytes()
    if output.exists() and output.read_bytes() == data:
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    shutil.copyfile(source, temporary)
    temporary.replace(output)


def build_simulator(
    *,
    sanitize: bool = False,
    name: str = SIMULATOR,
    system: System | None = None,
    sources: Mapping[str, tuple[Path, ...]] | None = None,
) -> SimulatorBuild:
    """Build what is missing or stale: the device, or another `system` of domains with these `sources`. ToolError."""
    if system is None or sources is None:
        system, sources = device_system(), DOMAIN_SOURCES
    out = BUILD / (f"{name}-sanitize" if sanitize else name)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write_sources()
        write_if_changed(out / "generated" / "sim_system.h", system_table(system))
        builder = _Builder(out, sanitize, sources)
        program = builder.program()
        images = builder.images()
        write_erased(out / DOMAINS, system)
        total = hashlib.sha256(program.read_bytes())
        for domain in system.all_domains():
            _copy(images[domain.image], out / DOMAINS / f"{domain.name}.so")
            total.update(images[domain.image].read_bytes())
    return SimulatorBuild(program, out / DOMAINS, total.hexdigest()[:32])


def main() -> None:
    """`python -m qemu.simulator_build [--sanitize]`: build, print the program's path."""
    parser = argparse.ArgumentParser(description="Build the host simulator.")
    parser.add_argument("--sanitize", action="store_true", help="with AddressSanitizer and UndefinedBehaviorSanitizer")
    print(build_simulator(sanitize=parser.parse_args().sanitize).program)


if __name__ == "__main__":
    main()
