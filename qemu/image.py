# SPDX-License-Identifier: Apache-2.0
"""Build the one image file that boots a Microkit system on the stand-in kernel.

``build_image(system, search_path, output)``, or on the command line::

    python -m qemu.image SYSTEM.xml --search-path DIR -o image.bin [--report]

    qemu-system-aarch64 -machine virt -cpu cortex-a53 -m 256M -nographic -kernel image.bin

Contract: the same ``.system`` file and ELF files that the Microkit tool takes. Variables of libmicrokit are filled in
as that tool does; besides, ``sb_kernel_kind``, where a program has it, becomes 1 (it stays 0 on genuine seL4).
The image holds the kernel, the tables of kernel/boot.h and the programs' bytes, each distinct piece once; memory
regions are made at boot. The kernel is compiled when its sources changed. Raises ImageError (system_file.py) or
ToolError (the compiler).
"""

from __future__ import annotations

import argparse
import os
import struct
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge_engine.paths import BUILD
from edge_engine.zig import DEVICE, WARNINGS, Target, ToolError, compile_objects, link
from qemu.elf_file import Elf, ElfError, read_elf
from qemu.system_file import PAGE, RAM_BASE, USER_TOP, ImageError, System, parse_system
from sel4_bridge.libmicrokit import IPC_BUFFER_SYMBOL, LIBMICROKIT_INCLUDE

__all__ = [
    "DEFAULT_RAM_MIB",
    "KERNEL_KIND_STANDIN",
    "ImageError",
    "ImageReport",
    "build_image",
    "build_kernel",
    "main",
    "stack_and_buffer",
]

KERNEL_FOLDER = Path(__file__).resolve().parent / "kernel"
# The FPU's registers are the threads'. zig heeds neither -mgeneral-regs-only
# nor "-neon" behind cortex_a53.
KERNEL_TARGET = Target("kernel", DEVICE.triple, ("-mcpu=generic-neon-fp_armv8",))
KERNEL_FLAGS = (
    "-isystem",
    str(LIBMICROKIT_INCLUDE),  # the numbers of the system calls, methods, errors and faults
    "-std=c17",
    "-O2",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-strict-aliasing",
    "-fno-sanitize=all",
    "-fno-stack-protector",
    "-fno-pic",
    "-mstrict-align",
    *WARNINGS,
)
DEFAULT_RAM_MIB = 256
MAX_IMAGE = 0x400000  # bytes: kernel.ld puts .bss there
KERNEL_KIND_STANDIN = 1
MAGIC = 0x314D495345534157
VERSION = 2
NONE = (1 << 64) - 1
READ, WRITE, EXECUTE, CACHED = 1, 2, 4, 8
ZERO_RUN = 64  # bytes of zero that end a piece: less is stored

# Bytes of the structures of kernel/boot.h.
BOOT_SIZES = {
    "boot_header": 152,
    "boot_region": 16,
    "boot_domain": 144,
    "boot_map": 32,
    "boot_segment": 48,
    "boot_piece": 24,
    "boot_channel": 48,
    "boot_irq": 32,
}


@dataclass(frozen=True)
class ImageReport:
    """What was built, for people."""

    size: int  # bytes
    kernel_size: int  # bytes
    ram_size: int  # bytes that the image was built for
    domain_lines: tuple[str, ...]

    def text(self) -> str:
        """Return the report as lines."""
        head = f"image {self.size} bytes, kernel {self.kernel_size} bytes, for {self.ram_size >> 20} MiB of RAM"
        return "\n".join([head, *self.domain_lines])


def build_kernel() -> bytes:
    """Compile the kernel if needed; its bytes as they lie in memory from the first one on."""
    folder = BUILD / "device" / "standin" / "kernel"
    sources = sorted(KERNEL_FOLDER.glob("*.c"))
    objects = compile_objects([KERNEL_FOLDER / "vectors.S"], folder, DEVICE)
    objects += compile_objects(sources, folder, KERNEL_TARGET, KERNEL_FLAGS)
    script = KERNEL_FOLDER / "kernel.ld"
    flags = ("-nostdlib", "-static", f"-Wl,-T,{script}", "-Wl,-e,kernel_image", "-Wl,-z,max-page-size=4096",
             "-Wl,--build-id=none", "-Wl,-s")  # fmt: skip
    elf = read_elf(link(objects, folder / "kernel.elf", DEVICE, (*flags[:-1],), (script,)))
    start = elf.address("kernel_image")
    memory = bytearray(elf.address("kernel_end") - start)
    for segment in elf.segments:
        offset = segment.vaddr - start
        memory[offset : offset + len(segment.data)] = segment.data[: max(0, len(memory) - offset)]
    return bytes(memory)


def _load_programs(system: System, search_path: Path) -> list[Elf]:
    programs = []
    for domain in system.domains:
        path = search_path / domain.program
        if not path.is_file():
            raise ElfError(f"{domain.name}: program image '{domain.program}' not found in {search_path}")
        programs.append(read_elf(path))
    return programs


def _patch(system: System, programs: list[Elf]) -> None:
    """Fill in the variables of libmicrokit and of setvar, as the Microkit tool does."""
    regions = {region.name: region for region in system.regions}
    for index, (domain, elf) in enumerate(zip(system.domains, programs, strict=True)):
        notify = call = 0
        for channel in system.channels:
            for end in (channel.a, channel.b):
                if end.domain == index:
                    notify |= end.notify << end.id
                    call |= end.call << end.id
        irqs = sum(1 << item.id for item in domain.interrupts)
        elf.patch("microkit_name", domain.name.encode()[:64])
        elf.patch("microkit_passive", bytes([domain.passive]))
        elf.patch("microkit_irqs", struct.pack("<Q", irqs))
        elf.patch("microkit_notifications", struct.pack("<Q", notify))
        elf.patch("microkit_pps", struct.pack("<Q", call))
        for variable in domain.setvars:
            region = regions[variable.region]
            value = {"vaddr": variable.vaddr, "size": region.size, "paddr": region.phys_addr or 0}[variable.kind]
            elf.patch(variable.symbol, struct.pack("<Q", value))
        if "sb_kernel_kind" in elf.symbols:
            elf.patch("sb_kernel_kind", struct.pack("<I", KERNEL_KIND_STANDIN))


def stack_and_buffer(elf: Elf) -> tuple[int, int]:
    """Return where the stack ends and where the IPC buffer begins: as Microkit until 2.2 has them, or since 2.3."""
    if IPC_BUFFER_SYMBOL in elf.symbols:
        return USER_TOP, elf.address(IPC_BUFFER_SYMBOL)
    return USER_TOP - 2 * PAGE, USER_TOP - PAGE


def _check_space(system: System, index: int, elf: Elf) -> None:
    """No two things at one address of a domain, and nothing writable and executable."""
    domain = system.domains[index]
    sizes = {region.name: region.size for region in system.regions}
    top, buffer = stack_and_buffer(elf)
    if buffer % PAGE:
        raise ElfError(f"{elf.name}: {IPC_BUFFER_SYMBOL} is not at the start of a page")
    taken = [(top - domain.stack_size, top, "the stack"), (buffer, buffer + PAGE, "the IPC buffer")]
    taken += [(item.vaddr, item.vaddr + sizes[item.region], f"map '{item.region}'") for item in domain.maps]
    for number, segment in enumerate(elf.segments):
        if segment.writable and segment.executable:
            raise ElfError(f"{elf.name}: segment {number} is writable and executable")
        taken.append((segment.start, segment.start + segment.size, f"segment {number}"))
    taken.sort()
    for (_, stop, name), (start, _, other) in pairwise(taken):
        if start < stop:
            raise ImageError(f"{domain.name} ({elf.name}): {name} and {other} overlap at {start:#x}")
    if taken[-1][1] > USER_TOP:
        raise ImageError(f"{domain.name} ({elf.name}): {taken[-1][2]} reaches beyond {USER_TOP:#x}")


class _Blob:
    """The bytes behind the tables: each distinct piece once, at multiples of 8."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._known: dict[bytes, int] = {}

    def add(self, piece: bytes) -> int:
        """Offset of the piece in ``data``."""
        if piece not in self._known:
            self._known[piece] = len(self.data)
            self.data += piece + bytes(-len(piece) % 8)
        return self._known[piece]


def _pieces(data: bytes) -> list[tuple[int, bytes]]:
    """Cut off long runs of zeros: the offsets, multiples of 8, and the bytes that remain."""
    found: list[tuple[int, bytes]] = []
    start = None
    for at in range(0, len(data), ZERO_RUN):
        zero = not any(data[at : at + ZERO_RUN])
        if not zero and start is None:
            start = at
        elif zero and start is not None:
            found.append((start, data[start:at]))
            start = None
    if start is not None:
        found.append((start, data[start:]))
    return found


def _words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *values)


@dataclass
class _Tables:
    """Rows of the tables of struct boot_header, in its order. Data offsets of pieces are relative to the blob."""

    regions: list[bytes]
    domains: list[bytes]
    maps: list[bytes]
    segments: list[bytes]
    pieces: list[tuple[int, int, int]]
    channels: list[bytes]
    irqs: list[bytes]

    def bytes(self, blob: bytes, ram_size: int) -> bytes:
        """Lay out header, tables and blob."""
        rows = [self.regions, self.domains, self.maps, self.segments, [bytes(24)] * len(self.pieces), self.channels,
                self.irqs]  # fmt: skip
        where = BOOT_SIZES["boot_header"]
        places = b""
        for table in rows:
            places += _words(where, len(table))
            where += sum(len(row) for row in table)
        rows[4] = [_words(at, data + where, size) for at, data, size in self.pieces]
        header = _words(MAGIC, VERSION, where + len(blob), RAM_BASE, ram_size) + places
        return header + b"".join(b"".join(table) for table in rows) + blob


def _tables(system: System, programs: list[Elf], blob: _Blob) -> _Tables:
    """Write the system down as boot.h wants it."""
    names = [region.name for region in system.regions]
    tables = _Tables([], [], [], [], [], [], [])
    tables.regions = [_words(NONE if r.phys_addr is None else r.phys_addr, r.size) for r in system.regions]
    for index, (domain, elf) in enumerate(zip(system.domains, programs, strict=True)):
        top, buffer = stack_and_buffer(elf)
        tables.domains.append(
            domain.name.encode()[:64].ljust(64, b"\0")
            + _words(elf.entry, top, domain.stack_size, buffer)
            + _words(domain.priority, domain.budget_us, domain.period_us, domain.passive)
            + _words(NONE if domain.parent is None else domain.parent, domain.id or 0)
        )
        for item in domain.maps:
            flags = READ * ("r" in item.perms) | WRITE * ("w" in item.perms) | EXECUTE * ("x" in item.perms)
            tables.maps.append(_words(index, names.index(item.region), item.vaddr, flags | CACHED * item.cached))
        for segment in elf.segments:
            flags = READ * segment.readable | WRITE * segment.writable | EXECUTE * segment.executable | CACHED
            pieces = _pieces(bytes(segment.vaddr - segment.start) + bytes(segment.data))
            tables.segments.append(_words(index, segment.start, segment.size, flags, len(tables.pieces), len(pieces)))
            tables.pieces += [(at, blob.add(piece), len(piece)) for at, piece in pieces]
        tables.irqs += [_words(index, item.id, item.irq, item.edge) for item in domain.interrupts]
    tables.channels = [
        _words(one.domain, one.id, other.domain, other.id, one.notify, one.call)
        for channel in system.channels
        for one, other in ((channel.a, channel.b), (channel.b, channel.a))
    ]
    return tables


def _check_memory(system: System, programs: list[Elf], ram_size: int) -> None:
    """Refuse what the kernel could not place; the estimate of page tables is generous."""
    need = MAX_IMAGE + (2 << 20)
    for region in system.regions:
        if region.phys_addr is None:
            need += region.size + (2 << 20) * (region.size % (2 << 20) == 0)
        elif region.phys_addr < RAM_BASE + ram_size and region.phys_addr + region.size > RAM_BASE:
            raise ImageError(f"memory region '{region.name}': phys_addr inside RAM is not supported")
    for domain, elf in zip(system.domains, programs, strict=True):
        need += domain.stack_size + sum(segment.size for segment in elf.segments)
        need += PAGE * (16 + 3 * (len(domain.maps) + len(elf.segments) + 2))
        sizes = {region.name: region.size for region in system.regions}
        need += PAGE * sum(sizes[item.region] // (2 << 20) for item in domain.maps)
    if need > ram_size:
        raise ImageError(f"the system needs about {-(-need >> 20)} MiB of RAM, {ram_size >> 20} MiB are there")


def build_image(system: Path, search_path: Path, output: Path, *, ram_mib: int = DEFAULT_RAM_MIB) -> ImageReport:
    """Write the image for a machine with ``ram_mib`` MiB; the file appears whole or not at all."""
    description = parse_system(system)
    programs = _load_programs(description, search_path)
    _patch(description, programs)
    for index, elf in enumerate(programs):
        _check_space(description, index, elf)
    _check_memory(description, programs, ram_mib << 20)

    kernel = build_kernel()
    blob = _Blob()
    tables = _tables(description, programs, blob)
    image = kernel + tables.bytes(bytes(blob.data), ram_mib << 20)
    if len(image) > MAX_IMAGE:
        raise ImageError(f"the image has {len(image)} bytes, {MAX_IMAGE} are the limit")
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{output.name}.{os.getpid()}")
    temporary.write_bytes(image)
    temporary.replace(output)
    lines = [
        f"{d.name}: priority {d.priority}, budget {d.budget_us}/{d.period_us} us, stack {d.stack_size} bytes, "
        f"program {sum(len(piece) for s in e.segments for _, piece in _pieces(bytes(s.data)))} bytes"
        for d, e in zip(description.domains, programs, strict=True)
    ]
    return ImageReport(len(image), len(kernel), ram_mib << 20, tuple(lines))


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 on success, 1 with one line of reason otherwise."""
    parser = argparse.ArgumentParser(prog="python -m qemu.image", description=__doc__.partition("\n")[0])
    parser.add_argument("system", type=Path, help="Microkit system description")
    parser.add_argument("--search-path", type=Path, required=True, help="folder of the program images")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--ram-mib", type=int, default=DEFAULT_RAM_MIB, help="RAM of the machine (QEMU's -m)")
    parser.add_argument("--report", action="store_true", help="print sizes and domains")
    options = parser.parse_args(arguments)
    try:
        report = build_image(options.system, options.search_path, options.output, ram_mib=options.ram_mib)
    except (ImageError, ToolError) as error:
        print(error, file=sys.stderr)
        return 1
    if options.report:
        print(report.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
