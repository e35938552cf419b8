# SPDX-License-Identifier: Apache-2.0
"""Damaged modules: every one must be refused or run to an end within its limits, and nothing else may happen.

Invariant, for every string of bytes: decoding and validating ends with an answer; what is accepted, wasmtime accepts
too; what is accepted can be loaded, started and called within arena and fuel.

``python -m tests.engine.mutate COUNT SEED CURRENT FILE...``, in a process of its own under the sanitizer build, mutates
FILEs. The module being tried lies in the file CURRENT, so that a crash leaves its cause behind. Prints one JSON object
with counts.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from pathlib import Path

import wasmtime

from edge_engine import EngineError, HostFunction, Instance, Limits, Module, ModuleError, ValueType
from edge_engine.instance import Import
from tests.engine.wast import convert, missing_tools, spec_tests_folder

LIMITS = Limits(arena_size=4 << 20, stack_size=64 << 10, fuel=20_000)
MOST_CALLS = 8  # exports called per module
MOST_MODULE_BYTES = 4096
MOST_OF_A_SCRIPT = 6
# Scripts whose modules hold every kind of section and instruction.
SEEDS = ("block", "br_table", "bulk", "call_indirect", "conversions", "data", "elem", "exports", "float_exprs", "func",
         "global", "if", "imports", "linking", "loop", "memory_grow", "memory_trap", "ref_func", "select", "start",
         "table_copy", "table_grow", "table_init", "traps", "unreached-valid")  # fmt: skip
SIMD_SEEDS = ("simd_lane", "simd_load", "simd_bitwise", "simd_conversions", "simd_store8_lane")

INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x0B, 0x40, 0x41, 0xFC, 0xFD)


def spec_modules() -> list[Path] | str:
    """Modules of the specification's scripts to damage, or why there are none."""
    folder = spec_tests_folder()
    if folder is None:
        return "the specification's test scripts are not here"
    reason = missing_tools()
    if reason is not None:
        return reason
    files: list[Path] = []
    for group, names in (("core", SEEDS), ("simd", SIMD_SEEDS)):
        for name in names:
            where, commands = convert(folder / group / f"{name}.wast")
            modules = [where / command["filename"] for command in commands if command["type"] == "module"]
            files += [path for path in modules if path.stat().st_size <= MOST_MODULE_BYTES][:MOST_OF_A_SCRIPT]
    return files


def mutate(source: random.Random, seeds: list[bytes]) -> bytes:
    """Damage one module: flipped bits, changed, removed, repeated or foreign bytes, a lost end."""
    data = bytearray(source.choice(seeds))
    for _ in range(source.choice((1, 1, 1, 1, 1, 1, 2, 3, 8))):
        if len(data) < 9:
            break
        at = source.randrange(8, len(data)) if source.random() < 0.98 else source.randrange(len(data))
        size = source.choice((1, 1, 2, 4, 16, 64))
        match source.randrange(7):
            case 0:
                data[at] ^= 1 << source.randrange(8)
            case 1:
                data[at] = source.choice(INTERESTING)
            case 2:
                data[at] = source.randrange(256)
            case 3:
                del data[at : at + size]
            case 4:
                data[at:at] = data[at : at + size]
            case 5:
                other = source.choice(seeds)
                start = source.randrange(len(other))
                data[at:at] = other[start : start + size]
            case 6 if source.random() < 0.2:
                del data[at:]
            case _:
                data[at] = (data[at] + source.choice((-1, 1))) % 256
    return bytes(data)


class _Anything(dict[tuple[str, str], Import]):
    """Imports that provide any function."""

    def get(self, _key: tuple[str, str], _default: Import | None = None) -> Import:  # type: ignore[override]
        return HostFunction(lambda *_values: None, None, None)


def _exercise(module: Module) -> None:
    """Load, start and call. EngineErrors are answers; so are TypeErrors of the stand-in host function."""
    with Instance(module, _Anything(), limits=LIMITS) as instance:
        instance.start()
        functions = [item.index for item in instance.exports.values() if item.kind == "func"]
        for index in functions[:MOST_CALLS]:
            params, results = instance.function_type(index)
            slots = sum(2 if kind is ValueType.V128 else 1 for kind in params)
            count = sum(2 if kind is ValueType.V128 else 1 for kind in results)
            # References are nothing that a caller may invent.
            if any(kind in {ValueType.FUNCREF, ValueType.EXTERNREF} for kind in params):
                continue
            try:
                instance.call_slots(index, [3] * slots, count)
            except (EngineError, TypeError):
                instance.fuel = LIMITS.fuel or 0


def run(count: int, seed: int, current: Path, files: list[Path]) -> dict[str, object]:
    """Try ``count`` mutations; what was accepted wrongly is kept in the result as hex."""
    source = random.Random(seed)
    seeds = [path.read_bytes() for path in files]
    engine = wasmtime.Engine()
    accepted = refused = 0
    wrong: list[str] = []
    for _ in range(count):
        data = mutate(source, seeds)
        current.write_bytes(data)
        try:
            module = Module(data)
        except ModuleError:
            refused += 1
            continue
        accepted += 1
        try:
            wasmtime.Module.validate(engine, data)
        except wasmtime.WasmtimeError as problem:
            wrong.append(f"{problem}: {data.hex()}")
            continue
        with contextlib.suppress(EngineError, TypeError):
            _exercise(module)
    return {"accepted": accepted, "refused": refused, "wrong": wrong}


def main() -> None:
    """Entry point of ``python -m tests.engine.mutate``."""
    count, seed, current, *files = sys.argv[1:]
    print(json.dumps(run(int(count), int(seed), Path(current), [Path(file) for file in files])))


if __name__ == "__main__":
    main()
