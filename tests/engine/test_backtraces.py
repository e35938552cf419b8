# SPDX-License-Identifier: Apache-2.0
"""Backtraces name the instruction that trapped, whatever it was fused with, and every call that led to it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_engine import Instance, Limits, Module, Trap, TrapKind
from tests.engine.wast import missing_tools

if TYPE_CHECKING:
    from pathlib import Path

TEXT = """(module (memory 1) (table funcref (elem $leaf))
  (type $none (func)) (type $pair (func (param i32 i32) (result i32)))
  (func $leaf (type $pair) (i32.add (i32.const 5) (i32.div_s (local.get 0) (local.get 1))))
  (func $mid (param i32) (result i32) (local i64 f64)
    (i32.mul (call $leaf (i32.const 100) (local.get 0)) (i32.const 3)))
  (func (export "divide") (param i32) (result i32) (i32.add (i32.const 1) (call $mid (local.get 0))))
  (func (export "load") (param i32) (result i32)
    (i32.add (i32.const 1) (i32.load offset=4 (i32.add (local.get 0) (i32.const 8)))))
  (func (export "store") (param i32) (i32.store offset=65536 (i32.add (local.get 0) (i32.const 8)) (i32.const 1)))
  (func (export "convert") (param f64) (result i32)
    (i32.xor (i32.trunc_f64_s (f64.mul (local.get 0) (local.get 0))) (i32.const 1)))
  (func (export "copy") (param i32) (memory.copy (i32.const 0) (local.get 0) (i32.const 65536)))
  (func (export "wrong") (param i32) (call_indirect (type $none) (local.get 0)))
  (func (export "if") (param i32) (if (local.get 0) (then (unreachable))))
  (func (export "loop") (param i32)
    (loop (br_if 0 (i32.load (local.tee 0 (i32.add (local.get 0) (i32.const 65536))))) (br 0))))
"""


@pytest.fixture(scope="module")
def trapping(tmp_path_factory: pytest.TempPathFactory) -> Module:
    why = missing_tools()
    if why:
        pytest.skip(why)
    folder: Path = tmp_path_factory.mktemp("backtraces")
    (folder / "module.wat").write_text(TEXT)
    subprocess.run(["wat2wasm", "--debug-names", "module.wat", "-o", "module.wasm"], cwd=folder, check=True, timeout=30)
    return Module((folder / "module.wasm").read_bytes())


@pytest.mark.parametrize(
    ("name", "argument", "kind", "opcodes"),
    [
        ("divide", 0, TrapKind.DIV_BY_ZERO, (0x6D, 0x10, 0x10)),
        ("load", 65530, TrapKind.OOB_MEMORY, (0x28,)),
        ("load", 0xFFFFFFF7, TrapKind.OOB_MEMORY, (0x28,)),
        ("store", 0, TrapKind.OOB_MEMORY, (0x36,)),
        ("convert", 1e300, TrapKind.INT_OVERFLOW, (0xAA,)),
        ("convert", float("nan"), TrapKind.INVALID_CONVERSION, (0xAA,)),
        ("copy", 1, TrapKind.OOB_MEMORY, (0xFC,)),
        ("wrong", 0, TrapKind.INDIRECT_TYPE, (0x11,)),
        ("wrong", 1, TrapKind.UNDEFINED_ELEMENT, (0x11,)),
        ("if", 1, TrapKind.UNREACHABLE, (0x00,)),
        ("loop", 0, TrapKind.OOB_MEMORY, (0x28,)),
    ],
)
@pytest.mark.parametrize("fuel", [None, 1000])
def test_offsets_lead_to_the_instructions(
    trapping: Module, name: str, argument: float, kind: TrapKind, opcodes: tuple[int, ...], fuel: int | None
) -> None:
    with Instance(trapping, limits=Limits(arena_size=1 << 20, fuel=fuel)) as instance:
        instance.start()
        for _ in range(2):
            with pytest.raises(Trap) as trap:
                instance.call(name, argument)
            assert trap.value.kind is kind
            offsets = [int(line.partition("+0x")[2].rstrip(")"), 16) for line in trap.value.backtrace.splitlines()]
            assert tuple(trapping.data[offset] for offset in offsets) == opcodes


def test_names_come_from_the_name_section(trapping: Module) -> None:
    with Instance(trapping, limits=Limits(arena_size=1 << 20)) as instance:
        instance.start()
        with pytest.raises(Trap, match="divide by zero") as trap:
            instance.call("divide", 0)
    assert [line.split()[1] for line in trap.value.backtrace.splitlines()] == ["leaf", "mid", "divide"]
