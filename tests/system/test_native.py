# SPDX-License-Identifier: Apache-2.0
"""Native code on the device: its traps and backtraces beside the interpreter's, fuel, sections that are wrong."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from agent.link.modules import Limits
from edge_engine.aot.compiler import compile_module
from edge_engine.aot.section import add_section
from tests.engine.wast import assemble, missing_tools
from tests.system import modules as m
from tests.system.conftest import follow, install, run_module

if TYPE_CHECKING:
    from agent.link.device import Device as Link

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools())),
]
TARGET = "aarch64"

# The argument's first letter says which trap.
TRAPS = """(module
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (table 4 funcref) (elem (i32.const 0) $one $leaf)
  (type $none (func)) (type $number (func (result i32)))
  (func $one (result i32) (i32.const 1))
  (func $leaf (unreachable))
  (func $deep (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.load (i32.const 70000)))))
  (func $a (call $leaf))
  (func $b (drop (call $deep (i32.const 3))))
  (func $c (i32.store offset=4294967295 (i32.const -1) (i32.const 0)))
  (func $d (drop (i64.load (i32.const 65529))))
  (func $e (drop (i32.div_u (call $one) (memory.grow (i32.const 0))))
    (drop (i32.div_s (i32.const 1) (i32.load (i32.const 0)))))
  (func $f (i32.store (i32.const 4) (i32.const 0x80000000))
    (drop (i32.div_s (i32.load (i32.const 4)) (i32.const -1))))
  (func $g (drop (i32.trunc_f32_s (f32.const nan))))
  (func $h (call_indirect (type $none) (i32.const 4)))
  (func $i (call_indirect (type $none) (i32.const 3)))
  (func $j (call_indirect (type $none) (i32.const 0)))
  (func $k (call_indirect (type $none) (i32.const 1)))
  (func $l (memory.fill (i32.const 65000) (i32.const 1) (i32.const 1000)))
  (func $m (table.set 0 (i32.const 9) (ref.null func)))
  (func $n (call $exit (i32.const 42)))
  (func $o (call $forever))
  (func $forever (call $forever))
  (func $main (export "_start")
    (drop (call $args (i32.const 16) (i32.const 32)))
    (block $o (block $n (block $m (block $l (block $k (block $j (block $i (block $h
    (block $g (block $f (block $e (block $d (block $c (block $b (block $a
      (br_table $a $b $c $d $e $f $g $h $i $j $k $l $m $n $o
        (i32.sub (i32.load8_u (i32.load (i32.const 16))) (i32.const 97))))
      (call $a) (return)) (call $b) (return)) (call $c) (return)) (call $d) (return)) (call $e) (return))
      (call $f) (return)) (call $g) (return)) (call $h) (return)) (call $i) (return)) (call $j) (return))
      (call $k) (return)) (call $l) (return)) (call $m) (return)) (call $n) (return)) (call $o)))"""
CASES = "abcdefghijklmno"
RECURSION = "o"

MIXED = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 5))
  (type $two (func (param i32 i32) (result i32)))
  (table funcref (elem $sum $tail))
  (func $sum (param i32 i32) (result i32) (i32.add (local.get 0) (i32.add (local.get 1) (global.get $g))))
  (func $one (param i32) (result i32) (local.get 0))
  (func $tail (param i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return_call $one (i32.const 3))))
    (return_call $sum (local.get 1) (local.get 0)))
  (func $count (param i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (return_call $count (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (i32.const 1))))
  (func $grow (result i32)
    (i32.store (i32.const 8) (i32.const 77)) (drop (memory.grow (i32.const 2)))
    (i32.store (i32.const 190000) (i32.const 1)) (i32.add (i32.load (i32.const 8)) (i32.load (i32.const 190000))))
  (func (export "_start")
    (call $exit (i32.add (call $grow) (i32.add
      (call_indirect (type $two) (i32.const 1) (i32.const 2) (i32.const 1))
      (call $count (i32.const 10) (i32.const 0)))))))"""
SPIN = '(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))'


def native(data: bytes, *, fuel: bool = False) -> bytes:
    return add_section(data, compile_module(data, TARGET, fuel=fuel).code)


def functions(backtrace: str | None) -> list[str]:
    return [line.split("(")[1].split()[1].rstrip(")") for line in (backtrace or "").splitlines() if "(" in line]


async def test_traps_and_backtraces_are_the_interpreters(link: Link) -> None:
    data = assemble(TRAPS)
    found: dict[str, list[tuple[object, ...]]] = {}
    for tier, module in (("interpreter", data), ("native", native(data))):
        for case in CASES:
            ended = (await run_module(link, 0, module, (case,))).status
            assert (ended.tier, ended.tier_note) == (tier, None), case
            found.setdefault(case, []).append((ended.state, ended.trap, ended.exit, functions(ended.backtrace)))
    for case, (interpreted, compiled) in found.items():
        if case == RECURSION:  # as deep as the stack of each tier
            assert interpreted[:3] == compiled[:3] == ("trapped", "call stack exhausted", None)
            assert set(interpreted[3][:20]) == set(compiled[3][:20])
        else:
            assert compiled == interpreted, case
    traps = {case: of[0][1] for case, of in found.items()}
    assert traps["b"] == traps["c"] == traps["d"] == traps["l"] == "out of bounds memory access"
    assert (traps["e"], traps["f"], found["n"][0][2]) == ("integer divide by zero", "integer overflow", 42)


async def test_native_and_interpreted_functions_call_each_other(link: Link) -> None:
    data = assemble(MIXED)
    compiled = compile_module(data, TARGET)
    assert list(compiled.refused.values()) == ["it has a tail call (return_call) to a function of another type"]
    ended = await run_module(link, 0, add_section(data, compiled.code))
    assert (ended.status.state, ended.status.exit, ended.status.tier) == ("exited", 78 + 8 + 10, "native")


async def test_c_programs_run_natively(link: Link) -> None:
    source = (
        "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
        "int main(int argc, char **argv) { char *big = malloc(1 << 20); memset(big, argc, 1 << 20);"
        " double sum = 0; for (int i = 0; i < 1 << 20; i += 4096) sum += big[i] / 3.0;"
        ' printf("%s %.3f\\n", argv[1], sum); return 5; }'
    )
    ended = await run_module(link, 0, native(m.compile_c(source)), ("module", "sum"))
    assert (ended.stdout, ended.status.exit, ended.status.tier) == (b"sum 170.667\n", 5, "native")


async def test_an_endless_loop_in_native_code_is_ended_by_the_clock_and_by_fuel(link: Link) -> None:
    data = assemble(SPIN)
    await install(link, 0, native(data))
    cursor = (await link.slot(0)).log_next
    await link.start(0, limits=Limits(timeout_ms=200))
    ended = (await follow(link, 0, cursor)).status
    assert (ended.state, ended.reason, ended.tier) == ("stopped", "watchdog", "native")
    ended = (await run_module(link, 0, native(data, fuel=True), fuel=1_000_000)).status
    assert (ended.state, ended.trap, ended.tier) == ("trapped", "fuel exhausted", "native")
    ended = (await run_module(link, 0, native(data), fuel=1_000_000)).status
    assert (ended.state, ended.trap, ended.tier) == ("trapped", "fuel exhausted", "interpreter")
    assert ended.tier_note == "native code does not count fuel"


async def test_sections_that_are_wrong_leave_the_module_interpreted(link: Link) -> None:
    data = m.module(b"")
    right = native(data)
    begin = right.index(b"WNAT")
    malformed = "its native code is malformed"
    changes = [
        (0, "<I", 1, malformed),
        (4, "<H", 9, "its native code was made for another engine or machine"),
        (6, "<H", 1, "its native code was made for another engine or machine"),
        (8, "<I", 1, "native code was made for another engine"),
        (16, "<I", 0xFFFFFFFF, malformed),
        (20, "<I", 8, malformed),
        (24, "<I", 0xFFFFFFF0, malformed),
        (28, "<I", 0, malformed),
        (32, "<I", 1, "its native code was made for another module"),
        (64, "<i", -2, "an entry of the native section is out of bounds"),
        (64, "<i", 1 << 30, "an entry of the native section is out of bounds"),
    ]
    for offset, layout, value, note in changes:
        changed = bytearray(right)
        struct.pack_into(layout, changed, begin + offset, value)
        ended = (await run_module(link, 0, bytes(changed))).status
        assert (ended.state, ended.exit, ended.tier, ended.tier_note) == ("exited", 0, "interpreter", note)
    ended = (await run_module(link, 0, right)).status
    assert (ended.state, ended.exit, ended.tier, ended.tier_note) == ("exited", 0, "native", None)
