# SPDX-License-Identifier: Apache-2.0
"""Python values in the engine's slots: 8 bytes each, little endian; a v128 takes two.

=========  ===================================================================
i32, i64   int; arguments may be signed or unsigned, results are signed
f32, f64   float; NaN payloads survive only in slots (``Instance.call_slots``)
v128       bytes of length 16
funcref    int, opaque, valid in the process only; None is null
externref  int from 0 to 2**63 - 1, the caller's own; None is null
=========  ===================================================================
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import TYPE_CHECKING

from edge_engine.errors import MisuseError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FunctionType", "Value", "ValueType", "from_slots", "slot_count", "to_slots"]

Value = int | float | bytes | None

MASK_64 = (1 << 64) - 1


class ValueType(Enum):
    """Value types by their byte in the binary format."""

    I32 = 0x7F
    I64 = 0x7E
    F32 = 0x7D
    F64 = 0x7C
    V128 = 0x7B
    FUNCREF = 0x70
    EXTERNREF = 0x6F


FunctionType = tuple[tuple[ValueType, ...], tuple[ValueType, ...]]  # parameters, results


def slot_count(types: Sequence[ValueType]) -> int:
    """Slots that values of these types take."""
    return sum(2 if kind is ValueType.V128 else 1 for kind in types)


def _integer(value: Value, bits: int) -> int:
    if not isinstance(value, int) or not -(1 << (bits - 1)) <= value < 1 << bits:
        raise MisuseError(f"expected an integer of {bits} bits, found {value!r}")
    return value & ((1 << bits) - 1)


def _float_bits(value: Value, layout: str) -> int:
    if not isinstance(value, int | float):
        raise MisuseError(f"expected a number, found {value!r}")
    try:
        return int.from_bytes(struct.pack(layout, value), "little")
    except OverflowError:  # a finite number beyond f32: rounds to infinity
        return int.from_bytes(struct.pack(layout, float("inf") if value > 0 else float("-inf")), "little")


def to_slots(types: Sequence[ValueType], values: Sequence[Value]) -> list[int]:
    """Slots of argument or result values; MisuseError if number or types don't fit."""
    if len(types) != len(values):
        raise MisuseError(f"expected {len(types)} values, found {len(values)}")
    slots: list[int] = []
    for kind, value in zip(types, values, strict=True):
        if kind is ValueType.I32:
            slots.append(_integer(value, 32))
        elif kind is ValueType.I64:
            slots.append(_integer(value, 64))
        elif kind is ValueType.F32:
            slots.append(_float_bits(value, "<f"))
        elif kind is ValueType.F64:
            slots.append(_float_bits(value, "<d"))
        elif kind is ValueType.V128:
            if not isinstance(value, bytes) or len(value) != 16:  # noqa: PLR2004
                raise MisuseError(f"expected 16 bytes, found {value!r}")
            slots += struct.unpack("<QQ", value)
        elif value is None:
            slots.append(0)
        else:  # 0 in a slot is null, so references of the outside are one more
            slots.append(_integer(value, 64) + (1 if kind is ValueType.EXTERNREF else 0) & MASK_64)
    return slots


def _signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def from_slots(types: Sequence[ValueType], slots: Sequence[int]) -> list[Value]:
    """Values in slots, one per type."""
    values: list[Value] = []
    at = iter(slots)
    for kind in types:
        slot = next(at)
        if kind is ValueType.I32:
            values.append(_signed(slot, 32))
        elif kind is ValueType.I64:
            values.append(_signed(slot, 64))
        elif kind is ValueType.F32:
            values.append(float(struct.unpack("<f", (slot & 0xFFFFFFFF).to_bytes(4, "little"))[0]))
        elif kind is ValueType.F64:
            values.append(float(struct.unpack("<d", slot.to_bytes(8, "little"))[0]))
        elif kind is ValueType.V128:
            values.append(struct.pack("<QQ", slot, next(at)))
        elif slot == 0:
            values.append(None)
        else:
            values.append(slot - 1 if kind is ValueType.EXTERNREF else slot)
    return values
