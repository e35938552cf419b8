# SPDX-License-Identifier: Apache-2.0
"""Runs one converted test script against the engine and reports what went otherwise than the script says.

``python -m tests.engine.spec [--native] SCRIPT...`` runs scripts in a process of its own (for the sanitizer build) and
prints one JSON object: script name -> counts and failures.
"""

from __future__ import annotations

import json
import platform
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_engine import (
    EngineError,
    Export,
    HostFunction,
    Import,
    Instance,
    InvalidModule,
    Limits,
    MalformedModule,
    Module,
    Trap,
    TrapKind,
    UnlinkableModule,
    ValueType,
)
from edge_engine.aot.compiler import compile_modules
from edge_engine.aot.reader import ModuleReader
from edge_engine.aot.section import add_section
from edge_engine.values import slot_count
from tests.engine.wast import assemble, convert

LIMITS = Limits(arena_size=256 << 20, stack_size=256 << 10)

I32, I64, F32, F64 = ValueType.I32, ValueType.I64, ValueType.F32, ValueType.F64
PRINTS = {
    "print": (),
    "print_i32": (I32,),
    "print_i64": (I64,),
    "print_f32": (F32,),
    "print_f64": (F64,),
    "print_i32_f32": (I32, F32),
    "print_f64_f64": (F64, F64),
}
SPECTEST = """(module
  (global (export "global_i32") i32 (i32.const 666)) (global (export "global_i64") i64 (i64.const 666))
  (global (export "global_f32") f32 (f32.const 666.6)) (global (export "global_f64") f64 (f64.const 666.6))
  (table (export "table") 10 20 funcref) (memory (export "memory") 1 2))"""


@dataclass
class Report:
    """What came of one script."""

    passed: int = 0
    skipped: int = 0  # assertions about the text format
    failures: list[tuple[int, str]] = field(default_factory=list)  # line, what happened


@dataclass
class Script:
    """State of a running script."""

    folder: Path
    report: Report = field(default_factory=Report)
    current: Instance | None = None
    named: dict[str, Instance | None] = field(default_factory=dict)
    registered: dict[tuple[str, str], Import] = field(default_factory=dict)
    alive: list[Instance] = field(default_factory=list)  # tables may refer to functions of any of them
    native: dict[bytes, bytes] = field(default_factory=dict)  # module -> the same with native code

    def instance(self, name: str | None) -> Instance:
        """Get the instance that a command speaks of."""
        found = self.named.get(name) if name else self.current
        if found is None:
            raise AssertionError("the module of this command did not load")
        return found


def _spectest() -> tuple[Instance, dict[tuple[str, str], Import]]:
    instance = Instance(Module(assemble(SPECTEST)), limits=Limits(arena_size=1 << 20))
    instance.start()
    things: dict[tuple[str, str], Import] = {("spectest", name): item for name, item in instance.exports.items()}
    for name, params in PRINTS.items():
        things["spectest", name] = HostFunction(lambda *_values: None, params, ())
    return instance, things


def _load(script: Script, filename: str) -> Instance:
    """Instantiate a module; keeps it alive even if its start function fails."""
    data = (script.folder / filename).read_bytes()
    instance = Instance(Module(script.native.get(data, data)), script.registered, limits=LIMITS)
    if instance.native_refusal is not None:
        raise AssertionError(f"native code is refused: {instance.native_refusal}")
    script.alive.append(instance)
    instance.start()
    return instance


def _lanes(lane_type: str) -> int:
    return {"i8": 1, "i16": 2, "i32": 4, "f32": 4, "i64": 8, "f64": 8}[lane_type]


def _slots(value: dict[str, Any]) -> list[int]:
    """Slots of a constant in the listing."""
    if value["type"] == "v128":
        size = _lanes(value["lane_type"])
        data = b"".join(int(lane).to_bytes(size, "little") for lane in value["value"])
        return list(struct.unpack("<QQ", data))
    if value["value"] == "null":
        return [0]
    return [int(value["value"]) + (1 if value["type"] == "externref" else 0)]


def _is_nan(bits: int, size: int, kind: str) -> bool:
    quiet, exponent = (1 << 22, 0xFF << 23) if size == 4 else (1 << 51, 0x7FF << 52)
    if kind == "nan:canonical":
        return bits & ~(1 << (8 * size - 1)) == exponent | quiet
    return bits & (exponent | quiet) == exponent | quiet


def _matches_number(slot: int, size: int, expected: str) -> bool:
    bits = slot & ((1 << (8 * size)) - 1)
    return _is_nan(bits, size, expected) if expected.startswith("nan:") else bits == int(expected)


def _matches(slots: list[int], expected: dict[str, Any]) -> bool:
    kind = expected["type"]
    if kind == "v128":
        size = _lanes(expected["lane_type"])
        data = struct.pack("<QQ", *slots)
        lanes = [int.from_bytes(data[at : at + size], "little") for at in range(0, 16, size)]
        return all(_matches_number(lane, size, text) for lane, text in zip(lanes, expected["value"], strict=True))
    if kind in {"funcref", "externref"}:
        if "value" not in expected:  # any reference that is not null
            return slots[0] != 0
        if kind == "funcref" and expected["value"] != "null":
            return slots[0] != 0
        return slots == _slots(expected)
    return _matches_number(slots[0], 4 if kind in {"i32", "f32"} else 8, expected["value"])


def _act(script: Script, action: dict[str, Any]) -> tuple[tuple[ValueType, ...], list[int]]:
    """Perform an invoke or get; types and slots of its results."""
    instance = script.instance(action.get("module"))
    if action["type"] == "get":
        kind, slots = instance.global_slots(action["field"])
        return (kind,), slots
    index = instance.exports[action["field"]].index
    _, results = instance.function_type(index)
    arguments = [slot for value in action["args"] for slot in _slots(value)]
    return results, instance.call_slots(index, arguments, slot_count(results))


def _check_results(script: Script, command: dict[str, Any]) -> str | None:
    types, slots = _act(script, command["action"])
    expected = command["expected"]
    if len(types) != len(expected):
        return f"expected {len(expected)} results, found {len(types)}"
    rest = list(slots)
    for kind, want in zip(types, expected, strict=True):
        taken = [rest.pop(0) for _ in range(slot_count([kind]))]
        if not _matches(taken, want):
            return f"expected {want}, found {kind.name} {[hex(slot) for slot in taken]}"
    return None


def _expect_trap(script: Script, command: dict[str, Any], kind: TrapKind | None) -> str | None:
    try:
        _act(script, command["action"])
    except Trap as trap:
        return _trap_problem(trap, command["text"], kind)
    return "expected a trap, found none"


def _trap_problem(trap: Trap, text: str, kind: TrapKind | None) -> str | None:
    if kind is not None:
        return None if trap.kind is kind else f"expected {kind.name}, found {trap.kind.name}"
    # The scripts say "uninitialized element 2", "undefined element" or one text within another.
    return (
        None if text.startswith(trap.text) or trap.text.startswith(text) else f"expected {text!r}, found {trap.text!r}"
    )


def _expect_refusal(script: Script, command: dict[str, Any], kind: type[EngineError]) -> str | None:
    try:
        if kind is UnlinkableModule:
            _load(script, command["filename"])
        else:
            Module((script.folder / command["filename"]).read_bytes())
    except EngineError as problem:
        return (
            None
            if isinstance(problem, kind)
            else f"expected {kind.__name__}, found {type(problem).__name__}: {problem}"
        )
    return f"expected {kind.__name__} ({command['text']}), found a module that is accepted"


def _expect_failed_start(script: Script, command: dict[str, Any]) -> str | None:
    try:
        _load(script, command["filename"])
    except Trap as trap:
        return _trap_problem(trap, command["text"], None)
    return "expected a trap at instantiation, found none"


def _define(script: Script, command: dict[str, Any]) -> None:
    script.current = None
    if "name" in command:
        script.named[command["name"]] = None
    script.current = _load(script, command["filename"])
    if "name" in command:
        script.named[command["name"]] = script.current


def _register(script: Script, command: dict[str, Any]) -> None:
    instance = script.instance(command.get("name"))
    for name, item in instance.exports.items():
        script.registered[command["as"], name] = Export(instance, item.kind, item.index)


def _run_command(script: Script, command: dict[str, Any]) -> str | None:  # noqa: C901 - one case per command
    """Run a command; what went wrong, or None."""
    problem = None
    match command["type"]:
        case "module":
            _define(script, command)
        case "register":
            _register(script, command)
        case "action":
            _act(script, command["action"])
        case "assert_return":
            problem = _check_results(script, command)
        case "assert_trap":
            problem = _expect_trap(script, command, None)
        case "assert_exhaustion":
            problem = _expect_trap(script, command, TrapKind.STACK_EXHAUSTED)
        case "assert_invalid":
            problem = _expect_refusal(script, command, InvalidModule)
        case "assert_malformed":
            problem = _expect_refusal(script, command, MalformedModule)
        case "assert_unlinkable":
            problem = _expect_refusal(script, command, UnlinkableModule)
        case "assert_uninstantiable":
            problem = _expect_failed_start(script, command)
        case unknown:
            problem = f"unknown command {unknown}"
    return problem


def _compile(folder: Path, commands: list[dict[str, Any]]) -> dict[bytes, bytes]:
    """Native code of a script's valid modules, for this machine."""
    modules: list[bytes] = []
    for command in commands:
        if command["type"] in {"module", "assert_uninstantiable"} and command.get("module_type") != "text":
            data = (folder / command["filename"]).read_bytes()
            if data not in modules and ModuleReader(data).code_bytes:
                modules.append(data)
    compiled = compile_modules(modules, platform.machine()) if modules else []
    return {module: add_section(module, result.code) for module, result in zip(modules, compiled, strict=True)}


def run_script(path: Path, *, native: bool = False) -> Report:
    """Run one script from its text, interpreted or, as far as it can be compiled, as native code."""
    folder, commands = convert(path)
    script = Script(folder, native=_compile(folder, commands) if native else {})
    spectest, things = _spectest()
    script.registered.update(things)
    for command in commands:
        if command.get("module_type") == "text":
            script.report.skipped += 1
            continue
        try:
            problem = _run_command(script, command)
        except (EngineError, AssertionError) as raised:
            problem = f"{type(raised).__name__}: {raised}"
        if problem is None:
            script.report.passed += 1
        else:
            script.report.failures.append((command["line"], f"{command['type']}: {problem}"))
    for instance in [*script.alive, spectest]:
        instance.close()
    return script.report


def main() -> None:
    """Entry point of ``python -m tests.engine.spec``."""
    reports = {}
    native = "--native" in sys.argv
    for name in (argument for argument in sys.argv[1:] if argument != "--native"):
        report = run_script(Path(name), native=native)
        reports[Path(name).stem] = {
            "passed": report.passed,
            "skipped": report.skipped,
            "failures": report.failures,
        }
        print(f"{Path(name).stem}: {report.passed} passed", file=sys.stderr, flush=True)
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
