# SPDX-License-Identifier: Apache-2.0
"""The custom-page-sizes proposal: memories in units of one byte, or of 64 KiB said aloud.

Source: https://github.com/WebAssembly/custom-page-sizes/blob/main/proposals/custom-page-sizes/Overview.md
"""

from __future__ import annotations

import pytest

from agent.binary import encode_unsigned
from edge_engine import (
    ArenaTooSmall,
    InvalidModule,
    Limits,
    MalformedModule,
    Module,
    Trap,
    TrapKind,
    UnlinkableModule,
    UnsupportedModule,
)
from edge_engine import Instance as EngineInstance
from tests.engine import binary
from tests.engine.binary import CODE, DATA, EXPORTS, FUNCTIONS, IMPORTS, MEMORIES, TYPES, encode_signed
from tests.engine.sanitized import run_with_explicit_checks

I32, I64 = 0x7F, 0x7E
MAX, SHARED, WIDE, PAGE_SIZE = 1, 2, 4, 8
UNIT = 1 << 16
MAX_U32 = 0xFFFFFFFF

LOAD8 = b"\x20\x00\x2d\x00\x00"
LOAD32 = b"\x20\x00\x28\x00\x00"
LOAD64_OFFSET = b"\x20\x00\x29\x00" + encode_unsigned(0xFFFFFFFF)
STORE8 = b"\x20\x00\x20\x01\x3a\x00\x00"
FILL = b"\x20\x00\x41\x07\x20\x01\xfc\x0b\x00"
SIZE = b"\x3f\x00"
GROW = b"\x20\x00\x40\x00"
FUNCTIONS_OF = {
    "load8": (LOAD8, [I32], [I32]),
    "load32": (LOAD32, [I32], [I32]),
    "load64_far": (LOAD64_OFFSET, [I32], [I64]),
    "store8": (STORE8, [I32, I32], []),
    "fill": (FILL, [I32, I32], []),
    "size": (SIZE, [], [I32]),
    "grow": (GROW, [I32], [I32]),
}


def memory_type(low: int, high: int | None = None, shift: int | None = 0, flags: int = 0) -> bytes:
    flags |= (MAX if high is not None else 0) | (PAGE_SIZE if shift is not None else 0)
    numbers = [low, *([high] if high is not None else []), *([shift] if shift is not None else [])]
    return bytes([flags]) + b"".join(map(encode_unsigned, numbers))


def memory_module(kind: bytes, data: tuple[int, bytes] | None = None) -> bytes:
    """A module that exports its memory and functions on it."""
    rows = FUNCTIONS_OF.values()
    sections = {
        TYPES: [binary.function_type(bytes(params), bytes(results)) for _, params, results in rows],
        FUNCTIONS: [encode_unsigned(n) for n in range(len(rows))],
        MEMORIES: [kind],
        EXPORTS: [
            *(binary.export(name, 0, n) for n, name in enumerate(FUNCTIONS_OF)),
            binary.export("memory", 2, 0),
        ],
        CODE: [binary.body(code) for code, _, _ in rows],
    }
    if data is not None:
        sections[DATA] = [b"\0\x41" + encode_signed(data[0]) + b"\x0b" + encode_unsigned(len(data[1])) + data[1]]
    return binary.module(sections)


def importer(kind: bytes) -> bytes:
    return binary.module({IMPORTS: [binary.name("m") + binary.name("memory") + b"\x02" + kind]})


def instance(kind: bytes, *, arena_size: int = 1 << 20, data: tuple[int, bytes] | None = None) -> EngineInstance:
    made = EngineInstance(Module(memory_module(kind, data)), limits=Limits(arena_size=arena_size))
    made.start()
    return made


@pytest.mark.parametrize(
    "kind",
    [
        memory_type(0),
        memory_type(1, 1),
        memory_type(0, MAX_U32),
        memory_type(MAX_U32, MAX_U32),
        memory_type(0, shift=16),
        memory_type(65536, 65536, shift=16),
    ],
)
def test_valid_memory_types(kind: bytes) -> None:
    assert Module(memory_module(kind)).summary.memories == 1


@pytest.mark.parametrize("shift", [*range(1, 16), 17, 31, 32, 63, 64, 65, MAX_U32])
def test_other_page_sizes_are_invalid(shift: int) -> None:
    with pytest.raises(InvalidModule, match=rf"invalid custom page size: .* found 2\^{shift}$"):
        Module(memory_module(memory_type(0, shift=shift)))


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        (memory_type(0, 65537, shift=16), InvalidModule, "at most 65536 pages"),
        (memory_type(2, 1), InvalidModule, "must not be greater than maximum"),
        (memory_type(0)[:-1], MalformedModule, "unexpected end"),
        (memory_type(0) + b"\0", MalformedModule, "section size mismatch"),
        (memory_type(0, flags=SHARED), UnsupportedModule, "the threads proposal"),
        (memory_type(0, flags=WIDE), UnsupportedModule, "the memory64 proposal"),
        (memory_type(0, flags=WIDE, shift=None), UnsupportedModule, "the memory64 proposal"),
        (memory_type(0, flags=16), MalformedModule, "malformed limits flags"),
        (b"\x08\x00\xff\xff\xff\xff\x1f", MalformedModule, "integer too large"),
        (b"\x08\x80\x80\x80\x80\x10\x00", MalformedModule, "integer too large"),
    ],
)
def test_refusals(kind: bytes, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Module(memory_module(kind))


def test_tables_have_no_page_size() -> None:
    data = binary.module({binary.TABLES: [b"\x70\x08\x00\x00"]})
    with pytest.raises(MalformedModule, match="malformed limits flags"):
        Module(data)


@pytest.mark.parametrize("size", [1, 7, 8, 100, 4095, 4096, 4097, 65536, 70001])
def test_bounds_are_exact_to_the_byte(size: int) -> None:
    with instance(memory_type(size)) as it:
        assert it.memory.size == size
        assert it.call("size") == size
        it.call("store8", size - 1, 0xAB)
        assert it.call("load8", size - 1) == 0xAB
        assert it.call("load8", 0) == (0xAB if size == 1 else 0)
        for name, arguments in {
            "load8": (size,),
            "store8": (size, 1),
            "load32": (size - 3 & MAX_U32,),
            "fill": (size, 1),
            "load64_far": (MAX_U32,),
        }.items():
            with pytest.raises(Trap) as caught:
                it.call(name, *(value - (1 << 32) if value > 0x7FFFFFFF else value for value in arguments))
            assert caught.value.kind is TrapKind.OOB_MEMORY, (name, arguments)
        if size >= 4:
            assert it.call("load32", size - 4) == 0xAB000000 - (1 << 32)


def test_growing_by_the_byte_keeps_contents_and_clears_new_bytes() -> None:
    with instance(memory_type(3, 1000), data=(1, b"\x11\x22")) as it:
        for before, by in ((3, 1), (4, 0), (4, 5), (9, 991)):
            assert it.call("grow", by) == before
            assert it.memory.read(0, before + by) == b"\0\x11\x22" + bytes(before + by - 3)
        assert it.call("size") == 1000
        assert it.call("grow", 1) == -1
        assert it.call("grow", -1) == -1
        assert it.call("size") == 1000


def test_growth_ends_where_the_arena_does() -> None:
    with instance(memory_type(0), arena_size=128 << 10) as it:
        low, high = 0, 128 << 10
        assert it.call("grow", 1) == 0
        it.call("store8", 0, 0)  # functions are translated when first called, and that takes room
        low = 1
        while high - low > 1:
            middle = (low + high) // 2
            step = it.call("grow", middle - it.memory.size)
            low, high = (middle, high) if step != -1 else (low, middle)
        assert it.memory.size == low
        assert it.usage.bookkeeping_bytes + low <= 128 << 10
        assert it.call("grow", 1) == -1
        it.call("store8", low - 1, 5)
        with pytest.raises(Trap):
            it.call("store8", low, 5)


def test_the_whole_address_space_is_refused_by_need_not_by_overflow() -> None:
    with pytest.raises(ArenaTooSmall, match="4294967295 bytes of linear memory"):
        instance(memory_type(MAX_U32))


def test_ceiling_counts_64_kib_units() -> None:
    module = Module(memory_module(memory_type(1)))
    with EngineInstance(module, limits=Limits(arena_size=1 << 20, max_pages=1)) as it:
        it.start()
        assert it.call("grow", UNIT - 1) == 1
        assert it.call("grow", 1) == -1


def test_imports_match_only_the_same_page_size() -> None:
    for shift in (0, 16):
        with instance(memory_type(0, shift=shift)) as owner:
            imports = {("m", "memory"): owner.exports["memory"]}
            for wanted in (0, 16):
                kind = memory_type(0, shift=wanted)
                if wanted == shift:
                    EngineInstance(Module(importer(kind)), imports).close()
                    continue
                with pytest.raises(UnlinkableModule, match="incompatible import type"):
                    EngineInstance(Module(importer(kind)), imports)


def test_64_kib_said_aloud_is_the_default() -> None:
    with instance(memory_type(1, shift=16)) as owner:
        assert owner.memory.size == UNIT
        plain = Module(importer(b"\0\1"))
        EngineInstance(plain, {("m", "memory"): owner.exports["memory"]}).close()


def test_with_explicit_checks() -> None:
    done = run_with_explicit_checks("tests.engine.test_page_sizes", timeout_s=120)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    for bytes_of_memory in (1, 4097, 70001):
        test_bounds_are_exact_to_the_byte(bytes_of_memory)
    test_growing_by_the_byte_keeps_contents_and_clears_new_bytes()
    test_imports_match_only_the_same_page_size()
