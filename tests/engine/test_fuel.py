# SPDX-License-Identifier: Apache-2.0
"""Fuel bounds everything that a module can make the engine do: bulk instructions by size, growth, starting itself."""

from __future__ import annotations

import pytest

from edge_engine import Instance, Limits, Module, Trap, TrapKind
from tests.engine.wast import assemble, missing_tools

pytestmark = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))

UNITS = 16  # bytes or elements that one unit of fuel pays for
OVERHEAD = 40  # instructions around a bulk one, generously
BULK = """(module (memory 16 64) (table 16000 60000 funcref) (elem $e funcref (ref.null func) (ref.null func))
  (data $d "0123456789abcdef0123456789abcdef")
  (func (export "fill") (param i32) i32.const 0 i32.const 7 local.get 0 memory.fill)
  (func (export "copy") (param i32) i32.const 0 i32.const 1 local.get 0 memory.copy)
  (func (export "init") (param i32) i32.const 0 i32.const 0 local.get 0 memory.init $d)
  (func (export "table fill") (param i32) i32.const 0 ref.null func local.get 0 table.fill 0)
  (func (export "table copy") (param i32) i32.const 0 i32.const 1 local.get 0 table.copy)
  (func (export "table grow") (param i32) (result i32) ref.null func local.get 0 table.grow 0)
  (func (export "grow") (param i32) (result i32) local.get 0 memory.grow)
  (func (export "spin") (loop (br 0)))
  (func (export "grow for ever") (loop (drop (memory.grow (i32.const 0))) (drop (memory.grow (i32.const -1))) (br 0)))
  (func (export "nothing")))"""


def make(text: str, fuel: int, arena_size: int = 8 << 20) -> Instance:
    return Instance(Module(assemble(text)), limits=Limits(arena_size=arena_size, fuel=fuel))


def started(fuel: int = 1 << 30) -> Instance:
    instance = make(BULK, fuel)
    instance.start()
    return instance


@pytest.mark.parametrize(
    ("name", "units"),
    [
        ("fill", 1 << 20),
        ("copy", (1 << 20) - 1),
        ("init", 32),
        ("table fill", 16000),
        ("table copy", 15999),
        ("table grow", 1000),
    ],
)
def test_bulk_instructions_pay_by_size(name: str, units: int) -> None:
    with started() as it:
        it.call("nothing")
        it.fuel = 1 << 20
        it.call(name, units)
        spent = (1 << 20) - it.fuel
        # A table that moves pays for its former elements as well.
        most = units + (16000 if name == "table grow" else 0)
        assert units // UNITS < spent <= most // UNITS + OVERHEAD


@pytest.mark.parametrize(("name", "units"), [("fill", 1 << 20), ("copy", 1 << 19), ("table fill", 16000)])
def test_without_fuel_nothing_is_written(name: str, units: int) -> None:
    with started() as it:
        it.memory.write(0, bytes(range(64)))
        it.fuel = units // UNITS // 2
        with pytest.raises(Trap) as caught:
            it.call(name, units)
        assert caught.value.kind is TrapKind.FUEL_EXHAUSTED
        assert it.fuel == 0
        assert it.memory.read(0, 64) == bytes(range(64))
        it.fuel = 1 << 20
        it.call("nothing")


def test_growing_pays_for_what_it_moves() -> None:
    with started() as it:
        it.fuel = 1 << 30
        assert it.call("grow", 1) == 16
        assert (1 << 30) - it.fuel >= 17 * 65536 // UNITS
        # What can't be had costs nothing much: a program may ask.
        it.fuel = OVERHEAD
        assert it.call("grow", 1000) == -1
        assert it.fuel > 0


def test_growth_without_fuel_does_not_happen() -> None:
    with started() as it:
        it.fuel = OVERHEAD
        assert it.call("grow", 1) == -1
        assert it.memory.size == 16 * 65536
        with pytest.raises(Trap) as caught:
            it.call("nothing")
        assert caught.value.kind is TrapKind.FUEL_EXHAUSTED


@pytest.mark.parametrize("name", ["spin", "grow for ever"])
def test_loops_end(name: str) -> None:
    with started() as it:
        it.fuel = 100_000
        with pytest.raises(Trap) as caught:
            it.call(name)
        assert caught.value.kind is TrapKind.FUEL_EXHAUSTED


def test_start_functions_and_segments_are_paid_for() -> None:
    for text in (
        "(module (func $f (loop (br 0))) (start $f))",
        f'(module (memory 2) (data (i32.const 0) "{"x" * 100_000}"))',
        f"(module (table 9000 funcref) (func $f) (elem (i32.const 0) {'$f ' * 9000}))",
    ):
        with make(text, 400) as it:
            with pytest.raises(Trap) as caught:
                it.start()
            assert caught.value.kind is TrapKind.FUEL_EXHAUSTED


def test_recursion_ends_by_whichever_is_first() -> None:
    text = '(module (func $f (export "f") (call $f)))'
    for fuel, kind in ((1000, TrapKind.FUEL_EXHAUSTED), (1 << 30, TrapKind.STACK_EXHAUSTED)):
        with make(text, fuel) as it:
            it.start()
            with pytest.raises(Trap) as caught:
                it.call("f")
            assert caught.value.kind is kind
