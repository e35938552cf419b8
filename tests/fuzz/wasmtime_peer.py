# SPDX-License-Identifier: Apache-2.0
"""The other side of tests/fuzz/differential.py: reads seeds, one a line, and answers each with what wasmtime did."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import wasmtime

from edge_engine import ValueType as Type
from tests.fuzz.differential import ROUNDS, Outcome, arguments, host_answer, plain
from tests.fuzz.modules import HOSTS, generate

__all__ = ["Wasmtime"]

TRAPS = {
    "UNREACHABLE": "UNREACHABLE",
    "MEMORY_OUT_OF_BOUNDS": "OOB_MEMORY",
    "TABLE_OUT_OF_BOUNDS": "OOB_TABLE",
    "INDIRECT_CALL_TO_NULL": "UNINITIALIZED_ELEMENT",
    "BAD_SIGNATURE": "INDIRECT_TYPE",
    "INTEGER_OVERFLOW": "INT_OVERFLOW",
    "INTEGER_DIVISION_BY_ZERO": "DIV_BY_ZERO",
    "BAD_CONVERSION_TO_INTEGER": "INVALID_CONVERSION",
    "STACK_OVERFLOW": "STACK_EXHAUSTED",
}


class Wasmtime:
    """The other engine."""

    KINDS = ("i32", Type.I32), ("i64", Type.I64), ("f32", Type.F32), ("f64", Type.F64)

    def __init__(self) -> None:
        config = wasmtime.Config()
        config.cranelift_opt_level = "none"
        self.engine = wasmtime.Engine(config)
        self.kinds = dict(self.KINDS)

    def _type(self, kind: Any) -> Type:
        return self.kinds[str(kind)]

    def run(self, data: bytes) -> Outcome:
        """Run a module."""
        outcome = Outcome()
        store = wasmtime.Store(self.engine)
        value_types = {
            "i": wasmtime.ValType.i32(),
            "I": wasmtime.ValType.i64(),
            "f": wasmtime.ValType.f32(),
            "F": wasmtime.ValType.f64(),
        }
        hosts = [
            wasmtime.Func(
                store,
                wasmtime.FuncType([value_types[k] for k in params], [value_types[k] for k in results]),
                lambda *values, n=n: host_answer(outcome, n, values),
            )
            for n, (params, results) in enumerate(HOSTS)
        ]
        module = wasmtime.Module(self.engine, data)
        try:
            instance = wasmtime.Instance(store, module, hosts)
            outcome.steps.append("started")
        except wasmtime.Trap as trap:
            outcome.steps.append(TRAPS[trap.trap_code.name])
            return outcome
        exports = instance.exports(store)
        for turn in range(ROUNDS):
            for export in module.exports:
                if isinstance(export.type, wasmtime.FuncType) and export.name[0] == "f":
                    exports["reset"](store)
                    outcome.steps.append((export.name, self._call(store, exports[export.name], turn)))
            for export in module.exports:
                if isinstance(export.type, wasmtime.GlobalType):
                    value = exports[export.name].value(store)
                    outcome.steps.append((export.name, plain(self._type(export.type.content), value)))
            if "m" in exports:
                memory = exports["m"]
                size = memory.data_len(store)
                outcome.steps.append((size, hashlib.sha256(bytes(memory.read(store, 0, size))).hexdigest()))
        return outcome

    def _call(self, store: Any, function: Any, turn: int) -> Any:
        kind = function.type(store)
        results = [self._type(item) for item in kind.results]
        try:
            value = function(store, *arguments([self._type(item) for item in kind.params], turn))
        except wasmtime.Trap as trap:
            return TRAPS[trap.trap_code.name]
        values = () if not results else (value,) if len(results) == 1 else value
        return [plain(item, one) for item, one in zip(results, values, strict=True)]


def main() -> None:
    """Entry point of ``python -m tests.fuzz.wasmtime_peer``."""
    engine = Wasmtime()
    for line in sys.stdin:
        outcome = engine.run(generate(int(line)))
        print(json.dumps([outcome.steps, outcome.calls]), flush=True)


if __name__ == "__main__":
    main()
