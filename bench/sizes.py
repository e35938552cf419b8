# SPDX-License-Identifier: Apache-2.0
"""Code size: what the engine's sources weigh as aarch64 objects, by file and kind of section.

Contract: objects are built exactly as for the device (ENGINE_SOURCES, ENGINE_FLAGS, cortex-a53). Sections are read from
the ELF headers (System V ABI, ELF-64, little endian); no tool is needed. Does not link: what the linker would drop is
counted, so the number is an upper bound.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bench import BenchError
from bench.kernels import BUILD
from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES
from edge_engine.zig import DEVICE, compile_objects

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["engine_sizes", "section_sizes"]

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHT_NOBITS = 8


def section_sizes(path: Path) -> dict[str, int]:
    """Bytes of text, rodata, data and bss of an ELF-64 file; BenchError if it isn't one."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise BenchError(f"{path.name}: not a little-endian ELF-64 file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count = struct.unpack_from("<HH", data, 0x3A)
    sizes = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    for i in range(count):
        _, kind, flags, _, _, size = struct.unpack_from("<IIQQQQ", data, table + i * entry_size)
        if not flags & SHF_ALLOC:
            continue
        if flags & SHF_EXECINSTR:
            sizes["text"] += size
        elif kind == SHT_NOBITS:
            sizes["bss"] += size
        elif flags & SHF_WRITE:
            sizes["data"] += size
        else:
            sizes["rodata"] += size
    return sizes


def engine_sizes() -> dict[str, object]:
    """Totals and, by file, text and read-only data, of the engine as it is built for the device."""
    objects = compile_objects(ENGINE_SOURCES, BUILD / "device", DEVICE, ENGINE_FLAGS)
    files = {source.name: section_sizes(compiled) for source, compiled in zip(ENGINE_SOURCES, objects, strict=True)}
    total = {key: sum(sizes[key] for sizes in files.values()) for key in ("text", "rodata", "data", "bss")}
    return {
        "target": f"{DEVICE.triple} {' '.join(DEVICE.flags)}",
        "total": total,
        "code_bytes": total["text"] + total["rodata"],
        "files": {name: {"text": sizes["text"], "rodata": sizes["rodata"]} for name, sizes in files.items()},
    }
