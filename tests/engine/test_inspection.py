# SPDX-License-Identifier: Apache-2.0
"""What a module needs is exact: with that much arena it loads and runs, with one page less it does not."""

from __future__ import annotations

import contextlib

import pytest

from edge_engine import ArenaTooSmall, HostFunction, Instance, InvalidModule, Limits, Module
from edge_engine.inspection import Inspection, inspect_module
from edge_engine.native import native
from tests.engine import binary
from tests.engine.test_page_sizes import memory_module, memory_type
from tests.engine.wast import assemble, missing_tools

pytestmark = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))

PAGE = 4096
SMALL = '(module (func (export "f") (result i32) i32.const 1))'
NESTED = f"""(module (import "env" "f" (func (param i32) (result i32))) (memory 1) (data (i32.const 0) "data")
  (table 40 funcref) (global i64 (i64.const 5))
  (func $deep (export "deep") (param i32) (result i32)
    {"block (result i32) " * 60} local.get 0 {"local.get 0 i32.add end " * 60})
  (func $wide (export "wide") (param i32) (result i32) (local {"i64 " * 900})
    {"local.get 0 " * 300} {"i32.add " * 299})
  (func $table (export "table") (param i32) {"block " * 12} local.get 0 br_table
    {" ".join(str(n % 12) for n in range(900))} {"end " * 12}))"""
MANY = "(module (memory 2)" + "".join(f"(func (result i32) i32.const {n} i32.load)" for n in range(2000)) + ")"
MODULES = {
    "small": lambda: assemble(SMALL),
    "nested": lambda: assemble(NESTED),
    "many": lambda: assemble(MANY),
    "a byte of memory": lambda: memory_module(memory_type(1)),
    "5000 bytes of memory": lambda: memory_module(memory_type(5000)),
    "only constants": lambda: binary.module({binary.TYPES: [b"\x60\0\0"] * 5000}),
}


def load(data: bytes, arena_size: int, *, metered: bool = False) -> Instance:
    imports = {("env", "f"): HostFunction(lambda x: x)}
    limits = Limits(arena_size=arena_size, fuel=1 << 40 if metered else None)
    return Instance(Module(data), imports, limits=limits)


def translates_all(instance: Instance, found: Inspection, last: int) -> bool:
    """All functions, that one last."""
    imported = sum(entry.kind == "func" for entry in found.imports)
    order = [n for n in range(imported, found.functions) if n != last] + [last]
    return all(native().lib.ee_inspect_translate(instance.handle, n) for n in order)


@pytest.mark.parametrize("metered", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_the_need_is_exact(name: str, metered: bool) -> None:
    data = MODULES[name]()
    found = inspect_module(data, metered=metered)
    need = found.requirements
    assert need is not None
    assert need.load_bytes % PAGE == need.run_bytes % PAGE == 0
    with load(data, need.load_bytes, metered=metered) as instance:
        instance.start()
        assert instance.usage.memory_bytes == need.memory_bytes
        assert instance.usage.bookkeeping_bytes + need.memory_bytes <= need.load_bytes
    with pytest.raises(ArenaTooSmall, match="bytes"):
        load(data, need.load_bytes - PAGE, metered=metered)
    imported = sum(entry.kind == "func" for entry in found.imports)
    lasts = range(imported, found.functions, max(1, found.functions // 20))
    for last in lasts:
        with load(data, need.run_bytes, metered=metered) as instance:
            assert translates_all(instance, found, last)
            assert instance.usage.code_bytes == need.code_bytes
    if need.run_bytes == need.load_bytes:
        return
    # Room for alignment is counted in, which may just reach into one page more than is needed.
    with contextlib.suppress(ArenaTooSmall):
        results = []
        for last in lasts:
            with load(data, need.run_bytes - 2 * PAGE, metered=metered) as instance:
                results.append(translates_all(instance, found, last))
        assert not all(results)


def test_a_greater_stack_is_counted() -> None:
    plain, more = (inspect_module(assemble(SMALL), stack_size=size).requirements for size in (0, 1 << 20))
    assert plain is not None
    assert more is not None
    assert more.load_bytes - plain.load_bytes == (1 << 20) - (4 << 10)


def test_the_call_stack_is_a_share_of_what_is_free() -> None:
    """A sixteenth, within 4 and 64 KiB, unless the limits say how much."""
    data = assemble(SMALL)
    for arena_size, stack in ((32 << 10, 4 << 10), (256 << 10, None), (4 << 20, 64 << 10)):
        with load(data, arena_size) as instance:
            usage = instance.usage
            tables = usage.bookkeeping_bytes - usage.stack_bytes
            if stack is None:
                assert abs(usage.stack_bytes - (arena_size - tables) // 16) < 16
            else:
                assert usage.stack_bytes == stack
    with Instance(Module(data), limits=Limits(arena_size=64 << 10, stack_size=40 << 10)) as instance:
        assert instance.usage.stack_bytes == 40 << 10


def test_refusal_names_the_need() -> None:
    data = memory_module(memory_type(300_000))
    with pytest.raises(ArenaTooSmall, match=r"arena too small for 300000 bytes of linear memory: at least \d+ bytes"):
        load(data, 128 << 10)


def test_imports_exports_memories_and_tables() -> None:
    text = """(module (import "a" "f" (func (param i32 f64) (result i64))) (import "a" "t" (table 1 2 funcref))
      (import "a" "g" (global (mut i32))) (memory (export "m") 1 3) (table (export "own") 5 externref)
      (global (export "c") f32 (f32.const 1)) (func (export "run")))"""
    found = inspect_module(assemble(text))
    assert [(entry.module, entry.name, entry.kind, entry.type) for entry in found.imports] == [
        ("a", "f", "func", "(param i32 f64) (result i64)"),
        ("a", "t", "table", "1 2 funcref"),
        ("a", "g", "global", "(mut i32)"),
    ]
    assert [(entry.name, entry.kind, entry.type) for entry in found.exports] == [
        ("m", "memory", "1 3"),
        ("own", "table", "5 externref"),
        ("c", "global", "f32"),
        ("run", "func", ""),
    ]
    assert [(table.minimum, table.maximum, table.element, table.imported) for table in found.tables] == [
        (1, 2, "funcref", True),
        (5, None, "externref", False),
    ]
    assert (found.memories[0].minimum, found.memories[0].maximum, found.memories[0].page_size) == (1, 3, 65536)
    assert found.requirements is None
    assert "unknown import" in (found.reason or "")


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(InvalidModule):
        inspect_module(memory_module(memory_type(2, 1)))


def test_gigabytes_are_not_tried() -> None:
    found = inspect_module(memory_module(memory_type(0xFFFFFFFF)))
    assert found.requirements is None
    assert "4294967295 bytes" in (found.reason or "")
