# SPDX-License-Identifier: Apache-2.0
"""Operands at the edges of their encodings: offsets and constants of 16, 32 and 64 bits, addresses beyond 2^32."""

from __future__ import annotations

import itertools

import pytest

from edge_engine import Instance, Limits, Module, Trap, TrapKind
from tests.engine.wast import assemble, missing_tools

pytestmark = pytest.mark.skipif(missing_tools() is not None, reason=str(missing_tools()))

PAGES = 3
SIZE = PAGES << 16
OFFSETS = (0, 1, 32767, 32768, 65535, 65536, 65537, 131072, SIZE - 1, SIZE, 0x7FFFFFFF, 0xFFFFFFFF)
ADDRESSES = (0, 1, 8, 65535, 65536, 131071, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
CONSTANTS = (0, 1, -1, 32767, 32768, -32768, -32769, 65535, 65536, 0x7FFFFFFF, -0x80000000)
# How the address comes: a local's slot, the accumulator, a constant, the sum of a local and a constant.
FORMS = {
    "slot": "local.get 0",
    "accumulator": "local.get 0 i32.const 0 i32.xor",
    "constant": "i32.const {address}",
    "sum": "local.get 1 i32.const {address} i32.add",
}
BINARY = ("add", "sub", "mul", "and", "or", "xor", "shl", "shr_s", "shr_u", "rotl", "rotr")


def make(functions: str) -> Instance:
    text = f'(module (memory (export "m") {PAGES}) {functions})'
    instance = Instance(Module(assemble(text)), limits=Limits(arena_size=1 << 20))
    instance.start()
    return instance


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "value", "size"),
    [("i32", 0x12345678, 4), ("i64", 0x123456789ABCDEF, 8), ("f32", 1.5, 4), ("f64", -2.25, 8)],
)
def test_an_address_has_33_bits(form: str, kind: str, value: float, size: int) -> None:
    """Base and offset are added without wrapping (core spec 4.4.7.1): a store is read back, or both trap."""
    cases = [(o, a) for o in OFFSETS for a in (ADDRESSES if form in ("constant", "sum") else ADDRESSES[:1])]
    functions = ""
    for number, (offset, address) in enumerate(cases):
        at = FORMS[form].format(address=address)
        functions += f"""
          (func (export "load {number}") (param i32 i32) (result {kind}) {at} {kind}.load offset={offset})
          (func (export "store {number}") (param i32 i32 {kind}) {at} local.get 2 {kind}.store offset={offset})
          (func (export "computed {number}") (param i32 i32 {kind})
            {at} local.get 2 {kind}.const 0 {kind}.add {kind}.store offset={offset})
          (func (export "fixed {number}") (param i32 i32) {at} {kind}.const {value} {kind}.store offset={offset})"""
    with make(functions) as it:
        for (number, (offset, fixed)), base in itertools.product(enumerate(cases), ADDRESSES):
            address = (base + fixed) & 0xFFFFFFFF if form == "sum" else fixed if form == "constant" else base
            where = address + offset
            operands = (base, base)
            inside = where + size <= SIZE
            for name, more in (("store", (value,)), ("computed", (value,)), ("fixed", ())):
                if inside:
                    it.memory.write(where, bytes(size))
                    it.call(f"{name} {number}", *operands, *more)
                    assert it.call(f"load {number}", *operands) == value
                    assert it.memory.read(where, size) != bytes(size)
                else:
                    with pytest.raises(Trap) as trap:
                        it.call(f"{name} {number}", *operands, *more)
                    assert trap.value.kind is TrapKind.OOB_MEMORY
            if not inside:
                with pytest.raises(Trap) as trap:
                    it.call(f"load {number}", *operands)
                assert trap.value.kind is TrapKind.OOB_MEMORY


def computed(name: str, a: int, b: int, bits: int) -> int:
    """Core spec 4.3.2, as a signed number."""
    modulus, count = 1 << bits, b % bits
    signed = a - modulus if a >> (bits - 1) else a
    result = {
        "add": a + b,
        "sub": a - b,
        "mul": a * b,
        "and": a & b,
        "or": a | b,
        "xor": a ^ b,
        "shl": a << count,
        "shr_s": signed >> count,
        "shr_u": a >> count,
        "rotl": a << count | a >> (bits - count),
        "rotr": a >> count | a << (bits - count),
    }[name] % modulus
    return result - modulus if result >> (bits - 1) else result


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", BINARY)
def test_constants_of_every_length(name: str, bits: int) -> None:
    constants = [*CONSTANTS, *((1 << 40, -(1 << 40), 31 + (1 << 35)) if bits == 64 else ())]
    kind = f"i{bits}"
    functions = ""
    for number, constant in enumerate(constants):
        functions += f"""
          (func (export "slot {number}") (param {kind}) (result {kind})
            local.get 0 {kind}.const {constant} {kind}.{name})
          (func (export "kept {number}") (param {kind}) (result {kind}) (local {kind})
            local.get 0 {kind}.const {constant} {kind}.{name} local.set 1 local.get 1)
          (func (export "accumulator {number}") (param {kind}) (result {kind})
            local.get 0 {kind}.const -1 {kind}.xor {kind}.const {constant} {kind}.{name})
          (func (export "swapped {number}") (param {kind}) (result {kind})
            {kind}.const {constant} local.get 0 {kind}.{name})
          (func (export "stored {number}") (param {kind}) (result {kind})
            i32.const 8 {kind}.const {constant} {kind}.store local.get 0 drop
            (block (result {kind}) {kind}.const {constant}))"""
    mask = (1 << bits) - 1
    with make(functions) as it:
        for (number, constant), value in itertools.product(enumerate(constants), (0, 1, 0x8000, mask, 0x12345678)):
            k = constant & mask
            assert it.call(f"slot {number}", value) == computed(name, value, k, bits)
            assert it.call(f"kept {number}", value) == computed(name, value, k, bits)
            assert it.call(f"accumulator {number}", value) == computed(name, value ^ mask, k, bits)
            assert it.call(f"swapped {number}", value) == computed(name, k, value, bits)
            assert it.call(f"stored {number}", value) == constant
            assert int.from_bytes(it.memory.read(8, bits // 8), "little", signed=True) == constant
