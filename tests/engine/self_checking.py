# SPDX-License-Identifier: Apache-2.0
"""The specification's scripts as programs: each module with its assertions becomes one WASI module that checks itself.

A program that is started without arguments performs the script's calls in their order, compares every result, and
prints "ok N failed M first L" (L: line of the first failure in the script). Started with k arguments it does the same
up to the k-th assertion about a trap, makes that call, and is expected to end with that trap.

Left out: modules with imports, what comes after a call with references as arguments, assertions about references,
several results and NaN lanes, and the text format.
wasm2wat and wat2wasm of wabt do the assembling: names keep their meaning when functions are added.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.engine.wast import CACHE, convert

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Program", "programs"]

EXPORT = re.compile(r'\(export "((?:[^"\\]|\\.)*)" \(func (\S+?)\)\)')
MEMORY = re.compile(r"\(memory (\$\S+) (?:\(;\d+;\) )?(\d+)(?: (\d+))?\)")
MOST_PAGES = 64
MOST_TRAPS = 255  # arguments that a start request takes, with argument 0
CHUNK = 100  # assertions in one function
TAIL = """
  (func $wasel_put (param i32 i32)
    (if (i32.ge_u (local.get 1) (i32.const 10))
      (then (call $wasel_put (i32.sub (local.get 0) (i32.const 1)) (i32.div_u (local.get 1) (i32.const 10)))))
    (i32.store8 (local.get 0) (i32.add (i32.const 48) (i32.rem_u (local.get 1) (i32.const 10)))))
  (func $wasel_word (param i32 i64 i32)
    (i64.store (local.get 0) (local.get 1))
    (i64.store (i32.add (local.get 0) (i32.const 8)) (i64.const 0x2020202020202020))
    (call $wasel_put (i32.add (local.get 0) (i32.const 15)) (local.get 2)))
  (func $wasel_judge (param i32 i32)
    (if (local.get 0)
      (then (global.set $wasel_ok (i32.add (global.get $wasel_ok) (i32.const 1))))
      (else
        (if (i32.eqz (global.get $wasel_failed)) (then (global.set $wasel_first (local.get 1))))
        (global.set $wasel_failed (i32.add (global.get $wasel_failed) (i32.const 1))))))
  (func $wasel_start (export "_start") (local i64)
    (local.set 0 (i64.load (i32.const 0)))
    (drop (call $wasel_args (i32.const 0) (i32.const 4)))
    (global.set $wasel_argc (i32.load (i32.const 0)))
    (i64.store (i32.const 0) (local.get 0))
    CALLS
    (call $wasel_word (i32.const 16) (i64.const 0x20202020206b6f20) (global.get $wasel_ok))
    (call $wasel_word (i32.const 32) (i64.const 0x2064656c69616620) (global.get $wasel_failed))
    (call $wasel_word (i32.const 48) (i64.const 0x2020747372696620) (global.get $wasel_first))
    (i32.store8 (i32.const 64) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 49))
    (drop (call $wasel_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
  (global $wasel_argc (mut i32) (i32.const 0))
  (global $wasel_ok (mut i32) (i32.const 0))
  (global $wasel_failed (mut i32) (i32.const 0))
  (global $wasel_first (mut i32) (i32.const 0))
"""
HEAD = """
  (import "wasi_snapshot_preview1" "fd_write" (func $wasel_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $wasel_args (param i32 i32) (result i32)))"""


@dataclass
class Program:
    """One self-checking module and what is expected of it."""

    script: str
    line: int  # of its module in the script
    data: bytes = b""
    assertions: int = 0
    traps: list[tuple[int, str]] = field(default_factory=list)  # line, text; trap k is reached with k + 1 arguments


def _lanes(lane_type: str) -> int:
    return {"i8": 1, "i16": 2, "i32": 4, "f32": 4, "i64": 8, "f64": 8}[lane_type]


def _constant(value: dict[str, Any]) -> str | None:
    """An argument in the text format, or None if this tool has no way to write it."""
    kind = value["type"]
    if kind in {"i32", "i64"}:
        return f"({kind}.const {value['value']})"
    if kind in {"f32", "f64"} and not str(value["value"]).startswith("nan:"):
        return f"({kind}.reinterpret_i{kind[1:]} (i{kind[1:]}.const {value['value']}))"
    if kind == "v128" and not any(str(lane).startswith("nan:") for lane in value["value"]):
        size = _lanes(value["lane_type"])
        data = b"".join(int(lane).to_bytes(size, "little") for lane in value["value"])
        return "(v128.const i8x16 " + " ".join(map(str, data)) + ")"
    return None


def _comparison(call: str, expected: list[dict[str, Any]]) -> str | None:
    """An i32 expression: did the call give what is expected?"""
    if not expected:
        return f"{call} (i32.const 1)"
    if len(expected) > 1:
        return None
    kind, text = expected[0]["type"], str(expected[0].get("value"))
    if kind in {"f32", "f64"}:
        bits = f"i{kind[1:]}"
        seen = f"({bits}.reinterpret_{kind} {call})"
        if text.startswith("nan:"):
            quiet = 0x7FC00000 if kind == "f32" else 0x7FF8 << 48
            mask = (0x7FFFFFFF if kind == "f32" else (1 << 63) - 1) if text == "nan:canonical" else quiet
            return f"({bits}.eq ({bits}.and {seen} ({bits}.const {mask})) ({bits}.const {quiet}))"
        return f"({bits}.eq {seen} ({bits}.const {text}))"
    wanted = _constant(expected[0])
    if wanted is None:
        return None
    return f"(i8x16.all_true (i8x16.eq {call} {wanted}))" if kind == "v128" else f"({kind}.eq {call} {wanted})"


def _run(tool: list[str], text: bytes) -> bytes:
    done = subprocess.run(tool, input=text, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr.decode()[:500])
    return done.stdout


class _Writer:
    """Collects the calls of one module."""

    def __init__(self, script: Path, line: int, module: bytes) -> None:
        self.program = Program(script.stem, line)
        self.text = _run(["wasm2wat", "--generate-names", "-"], module).decode()
        self.names = dict(EXPORT.findall(self.text))
        self.checks: list[str] = []
        self.closed = False  # a call was left out that may have changed something

    def usable(self) -> bool:
        found = MEMORY.search(self.text)
        return "(import " not in self.text and "$wasel" not in self.text and (
            found is None or (int(found[2]) <= MOST_PAGES and (int(found[2]) > 0 or found[3] != "0"))
        )  # fmt: skip

    def _call(self, action: dict[str, Any]) -> str | None:
        symbol = self.names.get(action["field"])
        arguments = [_constant(value) for value in action["args"]]
        if symbol is None or None in arguments or action.get("module"):
            return None
        return f"(call {symbol} {' '.join(map(str, arguments))})"

    def add(self, command: dict[str, Any]) -> None:
        action = command.get("action")
        if action is None or action["type"] != "invoke" or self.closed:
            return
        self.closed = any(value["type"] in {"funcref", "externref"} for value in action["args"])
        call = self._call(action)
        if call is None:
            return
        if command["type"] == "action":
            self.checks.append(call + " (drop)" * len(command["expected"]))
        elif command["type"] == "assert_return":
            comparison = _comparison(call, command["expected"])
            if comparison is not None:
                self.checks.append(f"(call $wasel_judge {comparison} (i32.const {command['line']}))")
                self.program.assertions += 1
        elif command["type"] in {"assert_trap", "assert_exhaustion"} and len(self.program.traps) < MOST_TRAPS - 1:
            self.program.traps.append((command["line"], command["text"]))
            number = len(self.program.traps) + 1  # argument 0 is the program's name
            drops = " (drop)" * len(command["expected"])
            self.checks.append(f"(if (i32.eq (global.get $wasel_argc) (i32.const {number})) (then {call}{drops} ))")

    def write(self) -> Program | None:
        """The program, or None if there is nothing to check."""
        if not self.program.assertions and not self.program.traps:
            return None
        found = MEMORY.search(self.text)
        extra = '(memory $wasel_memory 1) (export "memory" (memory $wasel_memory))' if found is None else ""
        if found is not None:
            if f'(export "memory" (memory {found[1]}))' not in self.text:
                extra = f'(export "memory" (memory {found[1]}))'
            if int(found[2]) == 0:
                return None
        body, _, _ = self.text.rstrip().rpartition(")")
        head, _, rest = body.partition("\n")
        chunks = [self.checks[at : at + CHUNK] for at in range(0, len(self.checks), CHUNK)]
        functions = "".join(f"\n  (func $wasel_{n} {' '.join(chunk)})" for n, chunk in enumerate(chunks))
        calls = " ".join(f"(call $wasel_{n})" for n in range(len(chunks)))
        tail = TAIL.replace("CALLS", calls)
        text = f"{head}{HEAD}\n{rest}{extra}{functions}{tail})"
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        output = CACHE / f"check-{key}.wasm"
        if not output.exists():
            source = output.with_suffix(".wat")
            source.write_text(text)
            made = output.with_suffix(".new")
            _run(["wat2wasm", str(source), "-o", str(made)], b"")
            made.replace(output)
        self.program.data = output.read_bytes()
        return self.program


def programs(script: Path) -> list[Program]:
    """The self-checking programs of a script."""
    folder, commands = convert(script)
    made: list[Program] = []
    writer: _Writer | None = None

    def finish() -> None:
        if writer is not None and writer.usable() and (program := writer.write()) is not None:
            made.append(program)

    for command in commands:
        if command["type"] == "module":
            finish()
            writer = _Writer(script, command["line"], (folder / command["filename"]).read_bytes())
        elif writer is not None:
            writer.add(command)
    finish()
    return made
