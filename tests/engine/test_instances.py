# SPDX-License-Identifier: Apache-2.0
"""Instances through the Python binding: calls, host functions, memory, limits, and calls from instance to instance."""

from __future__ import annotations

import pytest

from edge_engine import (
    ArenaTooSmall,
    HostFunction,
    Instance,
    Limits,
    MisuseError,
    Module,
    Trap,
    TrapKind,
    UnlinkableModule,
    ValueType,
)
from tests.engine.wast import assemble, missing_tools

pytestmark = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))

I32, I64, F32, F64 = ValueType.I32, ValueType.I64, ValueType.F32, ValueType.F64


def make(text: str, imports: dict | None = None, **limits: int) -> Instance:
    instance = Instance(Module(assemble(text)), imports, limits=Limits(**{"arena_size": 1 << 20, **limits}))
    instance.start()
    return instance


def test_typed_values_go_in_and_out() -> None:
    with make(
        """(module (func (export "all") (param i32 i64 f32 f64 externref) (result externref f64 f32 i64 i32)
             local.get 4 local.get 3 local.get 2 local.get 1 local.get 0))"""
    ) as it:
        assert it.call("all", 0xFFFFFFFF, -2, 1.5, -0.1, 0) == (0, -0.1, 1.5, -2, -1)
        assert it.call("all", -1, 1 << 63, 1e300, 2.0, None) == (None, 2.0, float("inf"), -(1 << 63), -1)
        for wrong in ((1 << 32, 0, 0.0, 0.0, None), (0, 0, "x", 0.0, None), (0,)):
            with pytest.raises(MisuseError):
                it.call("all", *wrong)
        with pytest.raises(MisuseError, match="no exported func"):
            it.call("missing")


def test_memory_is_read_and_written_within_bounds() -> None:
    with make(
        '(module (memory (export "m") 1 3) (data (i32.const 65530) "tail") (func (export "grow") (result i32) '
        "i32.const 1 memory.grow))"
    ) as it:
        assert it.memory.size == 65536
        assert it.memory.read(65530, 6) == b"tail\0\0"
        it.memory.write(0, b"front")
        assert it.call("grow") == 1
        assert it.memory.size == 2 * 65536
        assert it.memory.read(0, 5) + it.memory.read(65530, 4) == b"fronttail"
        assert it.memory.read(2 * 65536, 0) == b""
        for address, size in ((2 * 65536 - 1, 2), (-1, 1), (1 << 40, 1)):
            with pytest.raises(MisuseError):
                it.memory.read(address, size)


def test_host_functions_take_typed_values_and_may_fail() -> None:
    class BrokenError(Exception):
        pass

    def fail() -> None:
        raise BrokenError("on purpose")

    def leave() -> None:
        raise Trap(TrapKind.EXIT, "exit")

    imports = {
        ("host", "divmod"): HostFunction(divmod, (I64, I64), (I64, I64)),
        ("host", "fail"): HostFunction(fail),
        ("host", "leave"): HostFunction(leave),
    }
    text = """(module
        (import "host" "divmod" (func $divmod (param i64 i64) (result i64 i64)))
        (import "host" "fail" (func $fail)) (import "host" "leave" (func $leave))
        (func (export "divmod") (param i64 i64) (result i64 i64) local.get 0 local.get 1 call $divmod)
        (func (export "fail") call $fail) (func (export "leave") call $leave))"""
    with make(text, imports) as it:
        assert it.call("divmod", 17, 5) == (3, 2)
        with pytest.raises(BrokenError, match="on purpose"):
            it.call("fail")
        with pytest.raises(Trap) as trap:
            it.call("leave")
        assert trap.value.kind is TrapKind.EXIT
        with pytest.raises(ZeroDivisionError):
            it.call("divmod", 1, 0)
        assert it.call("divmod", -7, 2) == (-4, 1)


def test_missing_and_mistyped_imports_are_named() -> None:
    text = '(module (import "env" "thing" (func (param i32))))'
    with pytest.raises(UnlinkableModule, match=r'"env"\."thing"'):
        make(text)
    with pytest.raises(UnlinkableModule, match=r'"env"\."thing"'):
        make(text, {("env", "thing"): HostFunction(print, (I64,), ())})


def test_an_arena_too_small_says_what_is_needed() -> None:
    with pytest.raises(ArenaTooSmall, match=r"\d+ bytes needed, 1048576 given"):
        make("(module (memory 17))")
    with pytest.raises(ArenaTooSmall, match="bytes needed, 4096 given"):
        make("(module (table 1000 funcref))", arena_size=4096)


FAULTY = """(module (memory 1)
    (func $peek (export "peek") (param i32) (result i32) (i32.load offset=4294967295 (local.get 0)))
    (func (export "outer") (param i32) (result i32) (i32.add (i32.const 1) (call $peek (local.get 0))))
    (func (export "fine") (result i32) i32.const 7))"""


@pytest.mark.parametrize("address", [0, 1, 65536, 0x7FFFFFFF, 0xFFFFFFFF])
def test_faults_become_traps_with_a_backtrace(address: int) -> None:
    with make(FAULTY) as it:
        with pytest.raises(Trap) as trap:
            it.call("outer", address)
        assert trap.value.kind is TrapKind.OOB_MEMORY
        first, second = trap.value.backtrace.splitlines()
        assert first.startswith("  #0 peek (function 0 +0x")
        assert second.startswith("  #1 outer (function 1 +0x")
        assert it.call("fine") == 7


def test_faults_in_another_instance_leave_both_usable() -> None:
    with make(FAULTY) as inner:
        text = """(module (import "inner" "peek" (func $peek (param i32) (result i32)))
            (func (export "through") (param i32) (result i32) (call $peek (local.get 0)))
            (func (export "fine") (result i32) i32.const 8)
            (export "again" (func $peek)))"""
        with make(text, {("inner", "peek"): inner.exports["peek"]}) as outer:
            for _ in range(100):
                for name in ("through", "again"):
                    with pytest.raises(Trap) as trap:
                        outer.call(name, 0)
                    assert trap.value.kind is TrapKind.OOB_MEMORY
            assert inner.trap().kind is TrapKind.OOB_MEMORY
            assert inner.trap().backtrace.startswith("  #0 peek")
            assert (outer.call("fine"), inner.call("fine")) == (8, 7)


def test_faults_below_a_host_function_end_only_the_inner_call() -> None:
    inner = make(FAULTY)

    def probe(address: int) -> int:
        try:
            return inner.call("peek", address)
        except Trap as trap:
            return -1 if trap.kind is TrapKind.OOB_MEMORY else -2

    text = """(module (import "host" "probe" (func $probe (param i32) (result i32)))
        (func (export "ask") (param i32) (result i32) (i32.sub (call $probe (local.get 0)) (i32.const 1))))"""
    with make(text, {("host", "probe"): HostFunction(probe)}) as outer:
        for _ in range(100):
            assert outer.call("ask", 5) == -2
    inner.close()


def test_recursion_through_the_host_ends_as_a_trap() -> None:
    holder: list[Instance] = []
    text = """(module (import "host" "again" (func $again)) (func (export "run") call $again))"""
    with make(text, {("host", "again"): HostFunction(lambda: holder[0].call("run"))}) as it:
        holder.append(it)
        for _ in range(3):
            with pytest.raises(Trap) as trap:
                it.call("run")
            assert trap.value.kind is TrapKind.STACK_EXHAUSTED


def test_stack_exhaustion_is_a_trap_and_the_stack_is_given_back() -> None:
    text = """(module (func $f (export "deep") (param i32) (result i32)
        (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
          (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1))))))))"""
    with make(text) as it:
        for _ in range(3):
            with pytest.raises(Trap) as trap:
                it.call("deep", 1 << 30)
            assert trap.value.kind is TrapKind.STACK_EXHAUSTED
            assert "more\n" in trap.value.backtrace
            assert it.call("deep", 100) == 100


def test_fuel_stops_an_endless_loop() -> None:
    with make('(module (func (export "spin") (loop br 0)) (func (export "nop")))', fuel=100_000) as it:
        with pytest.raises(Trap) as trap:
            it.call("spin")
        assert trap.value.kind is TrapKind.FUEL_EXHAUSTED
        assert it.fuel == 0
        it.fuel = 1000
        it.call("nop")
        assert 0 < it.fuel < 1000


def test_globals_can_be_read() -> None:
    with make(
        '(module (global (export "n") i64 (i64.const -5)) (global (export "x") (mut f32) (f32.const 0.5)))'
    ) as it:
        assert it.global_value("n") == -5
        assert it.global_value("x") == 0.5


def test_usage_is_reported_and_bounded_by_the_arena() -> None:
    with make('(module (memory 1) (func (export "f") (result i32) i32.const 1))') as it:
        before = it.usage
        assert before.memory_bytes == 65536
        assert before.code_bytes == 0
        it.call("f")
        assert 0 < it.usage.code_bytes < 200
        assert it.usage.bookkeeping_bytes + it.usage.memory_bytes < 1 << 20
