# SPDX-License-Identifier: Apache-2.0
"""Native code: the interpreter's traps and backtraces, calls between the tiers, fuel, and sections that are wrong."""

from __future__ import annotations

import platform
import re
import struct

import pytest
from typer.testing import CliRunner

from edge_engine import HostFunction, Instance, Limits, Module, Trap, TrapKind
from edge_engine.aot.command import app
from edge_engine.aot.compiler import TARGETS, compile_module
from edge_engine.aot.section import add_section, bare_module, sections
from tests.engine.wast import assemble, missing_tools

pytestmark = [
    pytest.mark.skipif(platform.machine() not in TARGETS, reason=f"no native code for {platform.machine()}"),
    pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools())),
]
MACHINE = platform.machine()
LIMITS = Limits(arena_size=1 << 20)

TRAPS = """(module
  (import "host" "stop" (func $stop))
  (memory 1)
  (table 4 funcref) (elem (i32.const 0) $one $leaf)
  (type $none (func)) (type $number (func (result i32)))
  (func $one (result i32) (i32.const 1))
  (func $leaf (unreachable))
  (func $deep (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get 0) (i32.const 1)))))
      (else (i32.load (i32.const 70000)))))
  (func (export "unreachable") (call $leaf))
  (func (export "load") (drop (call $deep (i32.const 3))))
  (func (export "store") (i32.store offset=4294967295 (i32.const -1) (i32.const 0)))
  (func (export "unused load") (drop (i64.load (i32.const 65529))))
  (func (export "divide") (drop (i32.div_u (call $one) (memory.grow (i32.const 0))))
    (drop (i32.div_s (i32.const 1) (i32.load (i32.const 0)))))
  (func (export "overflow") (i32.store (i32.const 4) (i32.const 0x80000000))
    (drop (i32.div_s (i32.load (i32.const 4)) (i32.const -1))))
  (func (export "convert") (drop (i32.trunc_f32_s (f32.const nan))))
  (func (export "convert range") (drop (i32.trunc_f64_u (f64.const 1e20))))
  (func (export "undefined") (call_indirect (type $none) (i32.const 4)))
  (func (export "uninitialized") (call_indirect (type $none) (i32.const 3)))
  (func (export "type") (call_indirect (type $none) (i32.const 0)))
  (func (export "indirect") (call_indirect (type $none) (i32.const 1)))
  (func (export "fill") (memory.fill (i32.const 65000) (i32.const 1) (i32.const 1000)))
  (func (export "table") (table.set 0 (i32.const 9) (ref.null func)))
  (func (export "host") (call $stop))
  (func (export "recursion") (call $forever))
  (func $forever (call $forever)))"""
MIXED = """(module
  (import "host" "back" (func $back (param i32) (result i32)))
  (memory (export "memory") 1)
  (global $g (mut i32) (i32.const 5))
  (func $tail (param i32) (result i32) (return_call $add (local.get 0) (i32.const 0)))
  (func $add (param i32 i32) (result i32) (i32.add (local.get 0) (i32.add (local.get 1) (global.get $g))))
  (func $count (export "count") (param i32 i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (return_call $count (i32.sub (local.get 0) (i32.const 1)) (i32.add (local.get 1) (i32.const 1))))
  (func (export "both") (param i32) (result i32) (call $tail (call $back (call $tail (local.get 0)))))
  (func (export "values") (param i32 f64) (result f64 i64 i32)
    (local.get 1) (i64.extend_i32_s (local.get 0)) (i32.const 3))
  (func (export "grow") (result i32)
    (i32.store (i32.const 8) (i32.const 77)) (drop (memory.grow (i32.const 2)))
    (i32.store (i32.const 190000) (i32.const 1)) (i32.add (i32.load (i32.const 8)) (i32.load (i32.const 190000)))))"""
# Calls from one tier into the other, four deep, to a trap in either: functions with "other" stay interpreted.
NESTED = """(module
  (import "host" "stop" (func $stop))
  (memory 1) (table 2 funcref) (elem (i32.const 0) $native $other)
  (type $t (func (param i32) (result i32))) (type $none (func))
  (func $leaf (param i32 i32) (result i32) (i32.div_u (local.get 0) (i32.const 0)))
  (func $native (param i32) (result i32)
    (if (i32.eq (local.get 0) (i32.const 0)) (then (unreachable)))
    (if (i32.eq (local.get 0) (i32.const 10)) (then (drop (i32.load (i32.const 70000)))))
    (if (i32.eq (local.get 0) (i32.const 20)) (then (call $stop)))
    (i32.add (i32.const 1) (call $other (i32.sub (local.get 0) (i32.const 1)))))
  (func $other (param i32) (result i32)
    (if (i32.eq (local.get 0) (i32.const 30)) (then (drop (i32.load (i32.const 70000)))))
    (if (i32.eq (local.get 0) (i32.const 40)) (then (call_indirect (type $none) (i32.const 0))))
    (if (i32.eq (local.get 0) (i32.const 50)) (then (call $stop)))
    (if (i32.eq (local.get 0) (i32.const 60)) (then (return_call $leaf (i32.const 1) (i32.const 2))))
    (i32.add (i32.const 1)
      (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))))
  (func (export "run") (param i32) (result i32) (call $native (local.get 0))))"""
DEPTHS = {0: 1, 4: 5, 10: 1, 14: 5, 24: 5, 31: 2, 35: 6, 41: 2, 51: 2, 61: 2, 63: 4}  # argument -> frames without run's
TAILS = """(module (table $a 2 funcref) (table $b 2 funcref)
  (elem (table $a) (i32.const 0) func $indirect) (elem (table $b) (i32.const 1) func $second)
  (type $t (func (param i32 i64) (result i64)))
  (func $direct (export "direct") (param i32 i64) (result i64)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (return_call $direct (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (i64.const 3))))
  (func $indirect (export "indirect") (param i32 i64) (result i64)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (return_call_indirect $a (type $t) (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (i64.const 5))
      (i32.const 0)))
  (func $second (export "second") (param i32 i64) (result i64)
    (if (i32.eqz (local.get 0)) (then (return (local.get 1))))
    (return_call_indirect $b (type $t) (i32.sub (local.get 0) (i32.const 1)) (i64.add (local.get 1) (i64.const 7))
      (i32.const 1))))"""
LOOP = """(module (func (export "spin") (loop (br 0))) (func (export "few") (param i32) (result i32)
  (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (local.get 0)))"""


def _native(data: bytes, *, fuel: bool = False) -> bytes:
    return add_section(data, compile_module(data, MACHINE, fuel=fuel).code)


def _instance(data: bytes, imports=None, limits: Limits = LIMITS) -> Instance:
    instance = Instance(Module(data), imports, limits=limits)
    instance.start()
    return instance


def _stop(*_values: object) -> None:
    raise Trap(TrapKind.INTERRUPTED, "interrupted")


def _functions(trap: Trap) -> list[int]:
    return [int(number) for number in re.findall(r"\(function (\d+)", trap.backtrace)]


def test_traps_and_backtraces_are_the_interpreters() -> None:
    data = assemble(TRAPS)
    native = _native(data)
    names = re.findall(r'\(export "([^"]+)"\)', TRAPS)
    assert len(names) == 16
    for name in names:
        found = []
        for module in (data, native):
            instance = _instance(module, {("host", "stop"): HostFunction(_stop)})
            assert instance.native_refusal is None
            with pytest.raises(Trap) as caught:
                instance.call(name)
            found.append((caught.value.kind, _functions(caught.value)[:20]))
            instance.close()
        if name == "recursion":  # as deep as the stack of each tier
            assert found[0][0] is found[1][0] is TrapKind.STACK_EXHAUSTED
            assert set(found[1][1]) == set(found[0][1])
        else:
            assert found[1] == found[0], name
            assert name == "host" or found[1][1], name


def test_an_instance_goes_on_after_a_trap() -> None:
    instance = _instance(_native(assemble(TRAPS)), {("host", "stop"): HostFunction(_stop)})
    for _ in range(100):
        for name in ("load", "recursion", "host", "fill"):
            with pytest.raises(Trap):
                instance.call(name)


def test_native_and_interpreted_functions_call_each_other() -> None:
    data = assemble(MIXED)
    compiled = compile_module(data, MACHINE)
    assert compiled.refused == {1: "it has a tail call (return_call) to a function of another type"}
    instance: Instance
    imports = {("host", "back"): HostFunction(lambda value: instance.call("count", value, 100))}
    instance = _instance(add_section(data, compiled.code), imports)
    assert instance.native_refusal is None
    assert instance.call("both", 7) == 7 + 5 + 100 + 5
    assert instance.call("count", 100_000, 0) == 100_000
    assert instance.call("values", -2, 0.5) == (0.5, -2, 3)
    assert instance.call("grow") == 78
    assert instance.memory.size == 3 << 16


def test_backtraces_lead_through_both_tiers() -> None:
    data = assemble(NESTED)
    compiled = compile_module(data, MACHINE)
    assert list(compiled.refused) == [3]
    native = add_section(data, compiled.code)
    for argument, depth in DEPTHS.items():
        found = []
        for module in (data, native):
            instance = _instance(module, {("host", "stop"): HostFunction(_stop)})
            with pytest.raises(Trap) as caught:
                instance.call("run", argument)
            found.append((caught.value.kind, _functions(caught.value)))
            again = instance.call  # the instance is as good as new
            with pytest.raises(Trap):
                again("run", argument)
            instance.close()
        assert found[0] == found[1], argument
        assert len(found[0][1]) == depth + 1, argument


def test_tail_calls_take_no_stack() -> None:
    data = assemble(TAILS)
    compiled = compile_module(data, MACHINE)
    assert compiled.refused == {}
    instance = _instance(add_section(data, compiled.code))
    assert instance.call("direct", 3_000_000, 1) == 9_000_001
    assert instance.call("indirect", 3_000_000, 1) == 15_000_001
    assert instance.call("second", 3_000_000, 1) == 21_000_001


def test_fuel_ends_a_loop_and_is_asked_for_when_compiling() -> None:
    data = assemble(LOOP)
    limits = Limits(arena_size=1 << 20, fuel=100_000)
    metered = _instance(_native(data, fuel=True), limits=limits)
    assert metered.native_refusal is None
    assert metered.call("few", 1000) == 0
    assert 90_000 < metered.fuel < 99_000
    with pytest.raises(Trap) as caught:
        metered.call("spin")
    assert caught.value.kind is TrapKind.FUEL_EXHAUSTED
    plain = _instance(_native(data), limits=limits)
    assert plain.native_refusal == "native code does not count fuel"
    with pytest.raises(Trap) as caught:  # interpreted
        plain.call("spin")
    assert caught.value.kind is TrapKind.FUEL_EXHAUSTED


@pytest.mark.parametrize(
    ("offset", "layout", "value", "refusal"),
    [
        (0, "<I", 1, None),
        (4, "<H", 9, "native code was made for another engine"),
        (6, "<H", 7, "native code was made for another engine"),
        (8, "<I", 1, "native code was made for another engine"),
        (16, "<I", 1, "native code was made for another module"),
        (16, "<I", 99, None),
        (16, "<I", 0xFFFFFFFF, None),
        (20, "<I", 8, None),
        (20, "<I", 0xFFFFFFF0, None),
        (24, "<I", 0xFFFFFFF0, None),
        (28, "<I", 0xFFFFFFFF, None),
        (28, "<I", 0, None),
        (64, "<i", -2, "an entry of the native section is out of bounds"),
        (64, "<i", 1 << 30, "an entry of the native section is out of bounds"),
        (68, "<i", -1, "an entry of the native section is out of bounds"),
    ],
)
def test_wrong_sections_are_refused_and_the_module_is_interpreted(
    offset: int, layout: str, value: int, refusal: str | None
) -> None:
    """A header that isn't one counts as no section; other mistakes are named."""
    data = _native(assemble(LOOP))
    begin = data.index(b"WNAT")
    changed = bytearray(data)
    struct.pack_into(layout, changed, begin + offset, value)
    instance = _instance(bytes(changed))
    assert instance.native_refusal == refusal
    assert instance.call("few", 10) == 0


def test_the_same_module_gives_the_same_bytes(tmp_path, monkeypatch) -> None:
    data = assemble(MIXED)
    made = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr("tempfile.tempdir", None)
        made.append({target: compile_module(data, target, use_cache=False).code for target in TARGETS})
    assert made[0] == made[1]


def test_a_section_is_replaced_and_can_be_taken_out() -> None:
    data = assemble(LOOP)
    once = _native(data)
    assert _native(once) == once
    assert bare_module(once) == data
    assert [name for name, _ in sections(once) if name] == [f"wasel.native.{MACHINE}"]


def test_compile_command(tmp_path) -> None:
    source, output = tmp_path / "in.wasm", tmp_path / "out.wasm"
    source.write_bytes(assemble(MIXED))
    done = CliRunner().invoke(app, [str(source), "-o", str(output), "--target", MACHINE])
    assert done.exit_code == 0, done.output
    assert "function 1 stays interpreted: it has a tail call (return_call) to a function of another type" in done.output
    assert b"WNAT" in output.read_bytes()
    refused = CliRunner().invoke(app, [str(source), "-o", str(output), "--target", "vax"])
    assert refused.exit_code != 0
