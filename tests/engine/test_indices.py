# SPDX-License-Identifier: Apache-2.0
"""Modules with wrong numbers beside wasmtime: a bounded number here, 100,000 by ``python -m tests.fuzz.indices``."""

from __future__ import annotations

import random

import pytest
import wasmtime

from agent.binary import encode_unsigned
from edge_engine import InvalidModule, MalformedModule, Module
from edge_engine.aot.reader import ModuleReader
from tests.engine import binary
from tests.engine.binary import encode_signed
from tests.fuzz.indices import Verdicts, compare, generate, peer, reading_problem

FIXED = range(3500, 5000)  # block types of 2^32 - 1 with a body that has any type among them
FRESH = 500
NONE = 0xFFFFFFFF  # what 32 bits can hold at most
# What the generator must have hit on, both ways, or it no longer shows anything.
KINDS = ("block type", "count", "data segment", "element segment", "function", "global", "label", "lane", "local",
         "locals", "memory", "opcode", "segment form", "size", "table", "type", "i32", "i64", "heap type", "data count",
         "named function", "alignment", "offset", "page size", "pages minimum", "table maximum")  # fmt: skip


def test_same_verdict_as_wasmtime() -> None:
    """Fixed seeds, and fresh ones that a failure names."""
    fresh = random.SystemRandom().randrange(1 << 40)
    seen, engine = Verdicts(), peer()
    for seed in [*FIXED, *range(fresh, fresh + FRESH)]:
        data = compare(seed, engine, seen)
        if seed % 20 == 0:
            problem = reading_problem(data)
            seen.differences += [f"seed {seed}: {problem}"] if problem else []
    assert not seen.differences, "\n".join(seen.differences[:10])
    # Both sides of the fence are visited, with every kind of number.
    assert seen.modules // 4 < seen.valid < seen.modules * 3 // 4
    touched = {what.split(":")[0] for what in [*seen.refused_by_kind, *seen.accepted_by_kind]}
    assert touched >= set(KINDS)


def test_unchanged_modules_are_valid() -> None:
    engine = peer()
    whole = [data for data, changed in map(generate, range(600)) if not changed]
    assert len(whole) > 30
    for data in whole:
        wasmtime.Module.validate(engine, data)
        Module(data)


def _module(code: bytes, **more: bytes) -> bytes:
    """One function () -> (), with a table, a memory, a global, segments of both kinds."""
    sections: dict[int, list[bytes] | bytes] = {
        binary.TYPES: [binary.function_type(b"", b"")],
        binary.FUNCTIONS: [b"\0"],
        binary.TABLES: [b"\x70\0\1"],
        binary.MEMORIES: [b"\0\1"],
        binary.GLOBALS: [b"\x7f\1\x41\0\x0b"],
        binary.ELEMENTS: [b"\1\0\1\0"],
        binary.DATA_COUNT: b"\1",
        binary.CODE: [binary.body(code, [(1, 0x7F)])],
        binary.DATA: [b"\1\0"],
    }
    sections |= {getattr(binary, name): [content] for name, content in more.items()}
    return binary.module(sections)


ZERO = b"\x41\0"
LARGEST = encode_unsigned(NONE)
WITH_LARGEST = {
    "block": b"\x02" + encode_signed(NONE) + b"\x0b",
    "loop": b"\x03" + encode_signed(NONE) + b"\x0b",
    "if": ZERO + b"\x04" + encode_signed(NONE) + b"\x0b",
    "block that never ends": b"\x02" + encode_signed(NONE) + b"\0\x0b\x1a",
    "block, one less": b"\x02" + encode_signed(NONE - 1) + b"\x0b",
    "block, 2^31": b"\x02" + encode_signed(1 << 31) + b"\x0b",
    "br": b"\x0c" + LARGEST,
    "br_if": ZERO + b"\x0d" + LARGEST,
    "br_table": ZERO + b"\x0e\1" + LARGEST + b"\0",
    "br_table's default": ZERO + b"\x0e\0" + LARGEST,
    "call": b"\x10" + LARGEST,
    "call_indirect's type": ZERO + b"\x11" + LARGEST + b"\0",
    "call_indirect's table": ZERO + b"\x11\0" + LARGEST,
    "return_call": b"\x12" + LARGEST,
    "return_call_indirect": ZERO + b"\x13" + LARGEST + b"\0",
    "local.get": b"\x20" + LARGEST + b"\x1a",
    "local.set": ZERO + b"\x21" + LARGEST,
    "global.get": b"\x23" + LARGEST + b"\x1a",
    "global.set": ZERO + b"\x24" + LARGEST,
    "table.get": ZERO + b"\x25" + LARGEST + b"\x1a",
    "table.size": b"\xfc\x10" + LARGEST + b"\x1a",
    "table.init": ZERO * 3 + b"\xfc\x0c" + LARGEST + b"\0",
    "table.copy": ZERO * 3 + b"\xfc\x0e\0" + LARGEST,
    "elem.drop": b"\xfc\x0d" + LARGEST,
    "memory.init": ZERO * 3 + b"\xfc\x08" + LARGEST + b"\0",
    "data.drop": b"\xfc\x09" + LARGEST,
    "ref.func": b"\xd2" + LARGEST + b"\x1a",
}


@pytest.mark.parametrize("code", WITH_LARGEST.values(), ids=WITH_LARGEST)
def test_no_value_of_an_index_means_none(code: bytes) -> None:
    data = _module(code)
    with pytest.raises(InvalidModule, match=r"unknown (type|label|function|local|global|table|element|data)"):
        Module(data)
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module.validate(peer(), data)
    assert reading_problem(data) is None


IN_SECTIONS = {
    "function's type": {"FUNCTIONS": LARGEST},
    "export": {"EXPORTS": binary.export("a", 0, NONE)},
    "exported memory": {"EXPORTS": binary.export("a", 2, NONE)},
    "element": {"ELEMENTS": b"\1\0\1" + LARGEST},
    "element's table": {"ELEMENTS": b"\2" + LARGEST + ZERO + b"\x0b\0\0"},
    "data's memory": {"DATA": b"\2" + LARGEST + ZERO + b"\x0b\0"},
    "global": {"GLOBALS": b"\x7f\0\x23" + LARGEST + b"\x0b"},
}


@pytest.mark.parametrize("content", IN_SECTIONS.values(), ids=IN_SECTIONS)
def test_nor_in_sections(content: dict[str, bytes]) -> None:
    data = _module(b"", **content)
    with pytest.raises(InvalidModule, match="unknown"):
        Module(data)
    assert reading_problem(data) is None


def test_nor_does_a_start_function() -> None:
    data = binary.module({binary.TYPES: [binary.function_type(b"", b"")], binary.START: LARGEST})
    with pytest.raises(InvalidModule, match="unknown function in the start section"):
        Module(data)


def test_block_types_have_33_bits() -> None:
    """A type index in five bytes is one; a short form in five, or 34 bits, is nothing."""
    padded = b"\x80\x80\x80\x80\x00"
    assert Module(_module(b"\x02" + padded + b"\x0b")).summary.functions == 1
    for wrong in (
        b"\xc0\xff\xff\xff\x7f",
        b"\xff\xff\xff\xff\x1f",
        b"\x80\x80\x80\x80\x80\x00",
        b"\xff\xff\xff\xff\x20",
    ):
        with pytest.raises(MalformedModule):
            Module(_module(b"\x02" + wrong + b"\x0b"))


def test_native_compiler_reads_imported_memories_with_a_page_size() -> None:
    memory = binary.name("m") + binary.name("n") + b"\x02\x09\x01\x02\x00"
    function = binary.name("m") + binary.name("f") + b"\x00\x00"
    data = binary.module({binary.TYPES: [binary.function_type(b"", b"")], binary.IMPORTS: [memory, function]})
    Module(data)
    read = ModuleReader(data)
    assert (read.imports, read.imported_functions, read.imports_memory) == (2, 1, True)
