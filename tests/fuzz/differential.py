# SPDX-License-Identifier: Apache-2.0
"""The engine beside wasmtime: the same generated modules, the same calls, the same outcome.

Compared after every call: results (NaN is NaN), traps by kind, the calls that reached the host with their arguments,
exported globals and the whole memory.

``python -m tests.fuzz.differential --seconds N [--first SEED] [--count N]`` prints one line per difference and a JSON
summary; exit code 1 if there was a difference. A seed names its module for ever: ``--first SEED --count 1`` repeats it,
``--write FILE`` keeps it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edge_engine import HostFunction, Instance, Limits, Module, Trap
from edge_engine import ValueType as Type
from tests.fuzz.modules import HOSTS, TYPES, generate

__all__ = ["Outcome", "Peer", "arguments", "compare", "host_answer", "plain", "run_ours"]

LIMITS = {"arena_size": 4 << 20, "stack_size": 512 << 10}
FUEL = 1 << 40
MASKS = {Type.I32: 0xFFFFFFFF, Type.I64: (1 << 64) - 1}
ALIASES = {"UNDEFINED_ELEMENT": "OOB_TABLE"}  # wasmtime has one name for both
ARGUMENTS = {
    Type.I32: (0, 1, 0x7FFFFFFF, -1, 5, 77777),
    Type.I64: (0, 1, (1 << 63) - 1, -1, 9, 1 << 40),
    Type.F32: (0.0, -0.0, 1.5, math.inf, -7.25, math.nan),
    Type.F64: (0.0, -0.0, 1e300, -math.inf, 3.75, math.nan),
}
ROUNDS = 3


@dataclass
class Outcome:
    """What one engine did, in the same words for both."""

    steps: list[Any] = field(default_factory=list)
    calls: list[Any] = field(default_factory=list)  # that reached the host
    backtraces: list[list[int]] = field(default_factory=list)  # functions of each trap, innermost first; ours alone


def plain(kind: Type, value: Any) -> Any:
    """A value with one spelling: integers unsigned, floats as bits, every NaN the same."""
    if kind in MASKS:
        return int(value) & MASKS[kind]
    if math.isnan(value):
        return "nan"
    return struct.pack("<f" if kind is Type.F32 else "<d", value).hex()


def host_answer(outcome: Outcome, number: int, values: tuple[Any, ...]) -> Any:
    """The host functions: deterministic, and they remember."""
    params, results = HOSTS[number]
    kinds = [Type(TYPES[kind]) for kind in params]
    seen = [plain(kind, value) for kind, value in zip(kinds, values, strict=True)]
    outcome.calls.append((number, *seen))
    if not results:
        return None
    digest = int.from_bytes(hashlib.sha256(repr((number, seen)).encode()).digest()[:8], "little")
    if results == "F":
        return float(digest % 1000) - 500.5
    bits = 32 if results == "i" else 64
    value = digest % (1 << bits)
    return value - (1 << bits) if value >> (bits - 1) else value


def _functions(trap: Trap) -> list[int]:
    return [int(number) for number in re.findall(r"\(function (\d+)", trap.backtrace)]


def arguments(kinds: list[Type], turn: int) -> list[Any]:
    return [ARGUMENTS[kind][(turn * 5 + n) % 6] for n, kind in enumerate(kinds)]


def run_ours(
    data: bytes, *, metered: bool = False, limits: dict[str, Any] | None = None, is_native: bool = False
) -> Outcome:
    """Run a module in this engine; AssertionError if it is native and its native code is refused."""
    outcome = Outcome()
    imports = {
        ("h", str(n)): HostFunction(lambda *values, n=n: host_answer(outcome, n, values)) for n in range(len(HOSTS))
    }
    chosen = Limits(**{**LIMITS, "fuel": FUEL if metered else None, **(limits or {})})
    with Instance(Module(data), imports, limits=chosen) as instance:
        assert not is_native or instance.native_refusal is None, instance.native_refusal
        try:
            instance.start()
            outcome.steps.append("started")
        except Trap as trap:
            outcome.backtraces.append(_functions(trap))
            outcome.steps.append(ALIASES.get(trap.kind.name, trap.kind.name))
            return outcome
        functions = [name for name in instance.exports if name[0] == "f"]
        for turn in range(ROUNDS):
            for name in functions:
                kinds, results = instance.function_type(instance.exports[name].index)
                instance.call("reset")
                try:
                    value = instance.call(name, *arguments(list(kinds), turn))
                    values = () if not results else (value,) if len(results) == 1 else value
                    step: Any = [plain(kind, item) for kind, item in zip(results, values, strict=True)]
                except Trap as trap:
                    outcome.backtraces.append(_functions(trap))
                    step = ALIASES.get(trap.kind.name, trap.kind.name)
                outcome.steps.append((name, step))
            for name, item in instance.exports.items():
                if item.kind == "global":
                    kind, _ = instance.global_slots(name)
                    outcome.steps.append((name, plain(kind, instance.global_value(name))))
            if "m" in instance.exports:
                size = instance.memory.size
                outcome.steps.append((size, hashlib.sha256(instance.memory.read(0, size)).hexdigest()))
    return outcome


class Peer:
    """wasmtime in a process of its own: two engines that both want SIGSEGV don't share one well."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.wasmtime_peer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._asked: list[int] = []

    def ask(self, seed: int) -> None:
        """Have a seed's module run; answers come in the order of the questions."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{seed}\n")
        self._process.stdin.flush()
        self._asked.append(seed)

    def answer(self, seed: int) -> Outcome:
        """What came of the seed that was asked first."""
        assert self._process.stdout is not None
        assert self._asked.pop(0) == seed
        steps, calls = json.loads(self._process.stdout.readline())
        return Outcome(steps, calls)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


def compare(seed: int, other: Peer, limits: dict[str, Any] | None = None) -> tuple[str | None, Outcome]:
    """The first difference on a seed's module, which the peer was asked for, or None; odd seeds run with fuel."""
    ours = run_ours(generate(seed), metered=seed % 2 == 1, limits=limits)
    ours = Outcome(*json.loads(json.dumps([ours.steps, ours.calls])))  # lists as they come from the peer
    theirs = other.answer(seed)
    for what, left, right in (("step", ours.steps, theirs.steps), ("host call", ours.calls, theirs.calls)):
        for n, (one, two) in enumerate(zip(left, right, strict=False)):
            if one != two:
                return f"seed {seed}: {what} {n}: here {one}, wasmtime {two}", ours
        if len(left) != len(right):
            return f"seed {seed}: {len(left)} {what}s here, wasmtime {len(right)}", ours
    return None, ours


def main() -> int:
    """Entry point of ``python -m tests.fuzz.differential``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--count", type=int, default=None, help="stop after so many modules")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--write", type=Path, help="keep the first seed's module in a file, run nothing")
    chosen = parser.parse_args()
    if chosen.write:
        chosen.write.write_bytes(generate(chosen.first))
        return 0
    end = time.monotonic() + chosen.seconds
    modules = calls = traps = host_calls = differences = 0
    with Peer() as other:
        other.ask(chosen.first)
        while time.monotonic() < end and modules != chosen.count:
            seed = chosen.first + modules
            other.ask(seed + 1)
            problem, outcome = compare(seed, other)
            modules += 1
            steps = [step[1] for step in outcome.steps if isinstance(step, list) and str(step[0]).startswith("f")]
            calls += len(steps)
            traps += sum(isinstance(step, str) for step in steps)
            host_calls += len(outcome.calls)
            if problem:
                differences += 1
                print(problem, flush=True)
    summary = {"modules": modules, "calls": calls, "traps": traps, "host_calls": host_calls, "differences": differences}
    print(json.dumps(summary), flush=True)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
