# SPDX-License-Identifier: Apache-2.0
"""Code size: what the engine's sources weigh as aarch64 objects, by group of code.

Contract: objects are built exactly as for the device (the same files, ENGINE_FLAGS, cortex-a53). Sections and symbols
are read from the ELF files (System V ABI, ELF-64, little endian); no tool is needed. Does not link: what the linker
would drop is counted, so the number is an upper bound.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

from bench import BenchError
from bench.engine import EngineSources, engine_sources
from bench.kernels import BUILD
from edge_engine.operations_simd import vector_forms
from edge_engine.zig import DEVICE, compile_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["engine_sizes", "function_sizes", "section_sizes"]

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHT_SYMTAB, SHT_NOBITS = 2, 8
STT_FUNC = 2
SYMBOL = struct.Struct("<IBBHQQ")
HANDLER = "ee_h_"
SUPERINSTRUCTION = re.compile(rf"{HANDLER}x\d+$")
FILES = (  # first that matches the file's name says the group of what is not a handler
    (re.compile(r"vector|simd"), "simd"),
    (re.compile(r"decode|validate|leb128|utf8|names|opcodes|instruction"), "decode and validate"),
    (re.compile(r"translate"), "translate"),
    (re.compile(r"handler"), "handler tables"),
    (re.compile(r""), "runtime"),
)


def _sections(data: bytes, path: Path) -> Iterator[tuple[int, int, int, int, int]]:
    """Kind, flags, offset, size and link of each section."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise BenchError(f"{path.name}: not a little-endian ELF-64 file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    entry_size, count = struct.unpack_from("<HH", data, 0x3A)
    for i in range(count):
        _, kind, flags, _, offset, size, link = struct.unpack_from("<IIQQQQI", data, table + i * entry_size)
        yield kind, flags, offset, size, link


def section_sizes(path: Path) -> dict[str, int]:
    """Bytes of text, rodata, data and bss of an ELF-64 file; BenchError if it isn't one."""
    sizes = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    for kind, flags, _, size, _ in _sections(path.read_bytes(), path):
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


def function_sizes(path: Path) -> dict[str, int]:
    """Bytes of each function of an ELF-64 object by its name."""
    data = path.read_bytes()
    sections = list(_sections(data, path))
    sizes: dict[str, int] = {}
    for kind, _, offset, size, link in sections:
        if kind != SHT_SYMTAB:
            continue
        strings = sections[link][2]
        for name, info, _, _, _, length in SYMBOL.iter_unpack(data[offset : offset + size]):
            if info & 15 == STT_FUNC and length:
                begin = strings + name
                sizes[data[begin : data.index(b"\0", begin)].decode()] = length
    return sizes


def engine_sizes(sources: EngineSources | None = None) -> dict[str, object]:
    """Totals in bytes, and text and read-only data by group of code, of the engine as it is built for the device.

    ``code_without_simd_bytes`` leaves out the handlers of vector operations and the files that are about them alone.
    """
    sources = sources or engine_sources()
    objects = compile_objects(sources.files, BUILD / "device", DEVICE, sources.flags)
    vectors = {HANDLER + form.name for form in vector_forms()[0]}
    total = dict.fromkeys(("text", "rodata", "data", "bss"), 0)
    groups: dict[str, int] = {}
    for source, compiled in zip(sources.files, objects, strict=True):
        sizes = section_sizes(compiled)
        for key, size in sizes.items():
            total[key] += size
        rest = sizes["text"] + sizes["rodata"]
        for name, size in function_sizes(compiled).items():
            if name.startswith(HANDLER):
                group = (
                    "superinstructions" if SUPERINSTRUCTION.match(name) else "simd" if name in vectors else "handlers"
                )
                groups[group] = groups.get(group, 0) + size
                rest -= size
        group = next(group for pattern, group in FILES if pattern.search(source.name))
        groups[group] = groups.get(group, 0) + rest
    code = total["text"] + total["rodata"]
    return {
        "target": f"{DEVICE.triple} {' '.join(DEVICE.flags)}",
        "total": total,
        "code_bytes": code,
        "code_without_simd_bytes": code - groups.get("simd", 0),
        "groups": dict(sorted(groups.items())),
    }
