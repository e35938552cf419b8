# SPDX-License-Identifier: Apache-2.0
"""C for instructions that compute: from the interpreter's own table of operations, so the two cannot differ.

A row of ``operations.py`` whose operands all come from slots reads them into ``a`` and ``b``, checks, and sets an
accumulator. Here the operands' expressions take the places of the slots, and the accumulator is the result.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from edge_engine.operations import LOADS, STORES, TWINS, all_operations

__all__ = ["LOAD_ROWS", "STORE_ROWS", "Computation", "Vector", "computations", "vectors"]

SCALAR_SHAPES = ("BINARY", "UNARY")  # and variants
LOAD_ROWS = {op: (result, access) for op, result, access in LOADS}
LOAD_ROWS |= {op: ("I", LOAD_ROWS[twin][1]) for op, twin in TWINS.items() if twin in LOAD_ROWS}
STORE_ROWS = {op: (kind, access) for op, kind, access, _ in STORES}
STORE_ROWS |= {op: ("I", STORE_ROWS[twin][1]) for op, twin in TWINS.items() if twin in STORE_ROWS}

_SCALAR = re.compile(
    r"^(?:\w+ [ab] = [^;]+; )+(?P<check>.*?) ?"
    r"(?:acc = \(uint(?:32|64)_t\)\((?P<int>.*)\);|SET_FA(?:32|64)\((?P<float>.*)\);)$"
)


@dataclass(frozen=True)
class Computation:
    """``check`` (statements, may trap) and ``value`` are C over ``a`` and ``b``."""

    check: str
    value: str


@dataclass(frozen=True)
class Vector:
    """C statements with ``{0}``, ``{1}``… for operands and immediates; kinds s (operand), h, i, q (immediates)."""

    body: str
    operands: str


@cache
def computations() -> dict[str, Computation]:
    """By name of the instruction."""
    operations, shapes = all_operations()
    rows = {operation.name: operation for operation in operations}
    found = {"I32_WRAP_I64": Computation("", "a")}  # the interpreter does nothing for it
    for shape in shapes:
        if shape.shape.startswith(SCALAR_SHAPES):
            match = _SCALAR.match(" ".join(rows[shape.first].body.split()))
            if match is None:
                raise RuntimeError(f"operations.py describes {shape.op} in a form that values.py does not know")
            check = match["check"].replace("{{", "{").replace("}}", "}").replace(", {at})", ", 0)")
            found[shape.op] = Computation(check, (match["int"] or match["float"]).strip())
    return found


@cache
def vectors() -> dict[str, Vector]:
    """By name of the instruction."""
    operations, shapes = all_operations()
    rows = {operation.name: operation for operation in operations}
    found = {}
    for shape in shapes:
        if shape.shape.startswith("VECTOR_"):
            row = rows[shape.first]
            # Accesses to memory are volatile, as in generated.h.
            body = re.sub(r"\*\((const )?(\w+) \*\)\(mem \+ ea\)", r"*(volatile \1\2 *)(mem + ea)", row.body)
            found[shape.op] = Vector(body.replace("{at}", "0"), row.operands)
    return found
