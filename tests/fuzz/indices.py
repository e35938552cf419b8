# SPDX-License-Identifier: Apache-2.0
"""Modules whose numbers are wrong, from a seed, and their verdicts here and in wasmtime.

A module is written whole and valid first: every section, every kind of index, every instruction that has an immediate.
Each number in it knows what it counts and where its range ends. Then up to three numbers are changed: to values at and
around the end of their range, at the ends of the widths of LEB128, to what an implementation may take for "none"; or
in their encoding (longer than needed, longer than allowed, unused bits set, cut off).

Invariants: this engine and wasmtime, with the same proposals, give the same verdict on every module; what is refused,
`wasel compile` and `wasel inspect` refuse in one line; what is accepted, the native compiler's decoder reads.

``python -m tests.fuzz.indices [--count N] [--seconds N] [--first SEED]`` prints one line per difference and a JSON
summary; exit code 1 if there was a difference. Every tenth module goes to the commands and the decoder. A seed names
its module for ever; ``--write FILE`` keeps the first.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import wasmtime

from agent.cli import main as wasel
from edge_engine import Module, ModuleError
from edge_engine.aot.generate import generate as generate_native
from edge_engine.aot.reader import ModuleReader
from edge_engine.aot.section import bare_module
from tests.fuzz.modules import ROWS, TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Verdicts", "compare", "generate", "peer", "reading_problem"]

EMPTY = 0x40
U32_MAX = 0xFFFFFFFF
EDGES = (
    *(0, 1, 0x3F, 0x40, 0x7F, 0x80, 0xFF, 0x100, 0x3FFF, 0x4000, 0xFFFF, 0x10000, 0x1FFFFF, 0x200000),
    *(0xFFFFFFF, 0x10000000, 0x7FFFFFFF, 0x80000000, U32_MAX - 1, U32_MAX),
)
SIGNED_EDGES = (*EDGES, *(-1, -2, -0x40, -0x41, -0x80, -0x2000, -0x80000000, -0x80000001, -0xFFFFFFFF, -0x100000000))
WIDE_EDGES = ((1 << 62), (1 << 63) - 1, -(1 << 63), 1 << 63, 1 << 35, -(1 << 35))
LIMITS = ("table minimum", "table maximum", "pages minimum", "pages maximum")
REFUSED = 3  # exit code
READ_EVERY = 10  # modules of a long run
MOST_TABLE = 10_000_000  # elements at a table's start that wasmtime validates at all; no rule of the specification


@dataclass
class Number:
    """A number in LEB128, or a byte that counts something."""

    what: str
    value: int
    bound: int = 0  # the first value that is out of range
    bits: int = 32  # 8: a plain byte
    signed: bool = False
    encoding: str = "least"

    def spelled(self) -> bytes:
        """As it stands in the module."""
        if self.bits == 8:
            return bytes([self.value & 0xFF])
        out = bytearray()
        value = self.value if self.signed else self.value & U32_MAX
        least = -64 if self.signed else 0
        most = 64 if self.signed else 128
        while not least <= value < most:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value & 0x7F)
        return self._respelled(out, fill=0x7F if self.value < 0 else 0)

    def _respelled(self, out: bytearray, fill: int) -> bytes:
        allowed = -(-self.bits // 7)
        match self.encoding:
            case "longest" | "unused bits":
                while len(out) < allowed:
                    out[-1] |= 0x80
                    out.append(fill)
                if self.encoding == "unused bits":
                    out[-1] ^= 0x40 if self.value & 1 else 0x10
            case "longer":
                if len(out) < allowed:
                    out[-1] |= 0x80
                    out.append(fill)
            case "too long":
                while len(out) <= allowed:
                    out[-1] |= 0x80
                    out.append(fill)
            case "cut":
                out[-1] |= 0x80
        return bytes(out)


ENCODINGS = ("longest", "longer", "unused bits", "too long", "cut")
# WebAssembly 3.0, and so wasmtime, reads the limits of all memories and tables as u64; 2.0, and this engine, as u32.
# Beyond that width there is nothing to compare.
LIMIT_ENCODINGS = ENCODINGS[:2]


@dataclass
class Sized:
    """Bytes that their number of bytes precedes."""

    pieces: Pieces
    size: Number = field(default_factory=lambda: Number("size", 0))


Pieces = list["bytes | Number | Sized"]


def _numbers(pieces: Pieces) -> Iterable[Number]:
    for piece in pieces:
        if isinstance(piece, Number):
            yield piece
        elif isinstance(piece, Sized):
            yield piece.size
            yield from _numbers(piece.pieces)


def _encode(pieces: Pieces, sizes: dict[int, int]) -> bytes:
    """``sizes``: by the size's identity, what is added to what is right."""
    out = bytearray()
    for piece in pieces:
        if isinstance(piece, bytes):
            out += piece
        elif isinstance(piece, Number):
            out += piece.spelled()
        else:
            inner = _encode(piece.pieces, sizes)
            piece.size.value = sizes.get(id(piece.size), len(inner))
            out += piece.size.spelled() + inner
    return bytes(out)


class Writer:
    """Writes one valid module; every index it writes is in range."""

    def __init__(self, source: random.Random) -> None:
        self.r = source
        letters = "iIfFvre"
        self.types = [("", ""), ("i", "i"), ("", "i")]
        for _ in range(source.randrange(4)):
            self.types.append(
                tuple("".join(source.choice(letters) for _ in range(source.randrange(3))) for _ in range(2))
            )
        self.imported = [source.randrange(len(self.types)) for _ in range(source.randrange(3))]
        self.functions = self.imported + [source.randrange(len(self.types)) for _ in range(source.randint(1, 3))]
        self.functions.append(0)
        self.tables = "r" + source.choice(("", "e", "r", "re"))
        self.imported_tables = source.randrange(2)
        self.imported_globals = [(source.choice("iIfFr"), False) for _ in range(source.randint(1, 3))]
        self.globals = [*self.imported_globals, *((source.choice("iIfFvr"), True) for _ in range(source.randint(1, 3)))]
        self.imports_memory = source.random() < 0.3
        self.has_memory = self.imports_memory or source.random() < 0.9
        self.elements = [source.choice("rre") for _ in range(source.randint(1, 3))]
        self.data = source.randint(1, 3)

    def _index(self, what: str, bound: int, value: int | None = None) -> Number:
        return Number(what, self.r.randrange(bound) if value is None else value, bound)

    def _vector(self, items: list[Pieces], what: str = "count") -> Pieces:
        out: Pieces = [Number(what, len(items), len(items) + 1)]
        for item in items:
            out += item
        return out

    def _of(self, kinds: Iterable[object], wanted: object) -> list[int]:
        return [n for n, kind in enumerate(kinds) if kind == wanted]

    def _constant(self, kind: str) -> Pieces:  # noqa: PLR0911 - one per type
        """Code for a value; constant expressions may use it too."""
        readable = self._of(self.imported_globals, (kind, False))
        if readable and self.r.random() < 0.3:
            return [b"\x23", self._index("global", len(self.globals), self.r.choice(readable))]
        match kind:
            case "i":
                return [b"\x41", Number("i32", self.r.choice((0, 5, -1, 0x7FFFFFFF)), signed=True)]
            case "I":
                return [b"\x42", Number("i64", self.r.choice((0, 5, -1, 1 << 40)), bits=64, signed=True)]
            case "f":
                return [b"\x43\0\0\0\0"]
            case "F":
                return [b"\x44" + bytes(8)]
            case "v":
                return [b"\xfd", Number("opcode", 0x0C, 0x100), bytes(16)]
            case "r" if self.r.random() < 0.5:
                return [b"\xd2", self._index("function", len(self.functions))]
            case _:
                return [b"\xd0", Number("heap type", TYPES[kind] - 0x80, bits=33, signed=True)]

    def _values(self, kinds: str) -> Pieces:
        out: Pieces = []
        for kind in kinds:
            out += self._constant(kind)
        return out

    def _limits(self, least: int, what: str) -> Pieces:
        if self.r.random() < 0.5:
            return [b"\0", Number(f"{what} minimum", least, least + 1)]
        return [b"\1", Number(f"{what} minimum", least, least + 1), Number(f"{what} maximum", least + 5, least)]

    def _table(self, kind: str) -> Pieces:
        return [bytes([TYPES[kind]]), *self._limits(8, "table")]

    def _memory(self) -> Pieces:
        if self.r.random() < 0.1:
            least = Number("pages minimum", 1)
            return [b"\x09", least, Number("pages maximum", 2), Number("page size", self.r.choice((0, 16)), 17)]
        return self._limits(1, "pages")

    def _block(self) -> Pieces:
        """A block of some type around a branch."""
        r = self.r
        opcode = r.choice((b"\x02", b"\x03"))
        chance = r.random()
        if chance < 0.3:
            params, results = "", r.choice(("", "i", "I", "f", "F", "v", "r", "e"))
            kind = Number("block type", (TYPES[results] if results else EMPTY) - 0x80, bits=33, signed=True)
        else:
            index = r.randrange(len(self.types))
            params, results = self.types[index]
            kind = Number("block type", index, len(self.types), bits=33, signed=True)
        before = self._values(params)
        if r.random() < 0.3:
            branches = before + self._constant("i") + [b"\x04", kind]
            rest = [b"\x1a" * len(params), *self._values(results)]
            return [
                *branches,
                *rest,
                b"\x05",
                b"\x1a" * len(params),
                *self._values(results),
                b"\x0b" + b"\x1a" * len(results),
            ]
        inside: Pieces = [b"\x1a" * len(params)]
        if r.random() < 0.2:  # whatever the type is, the body has it
            return [*before, opcode, kind, b"\0", b"\x0b" + b"\x1a" * len(results)]
        if r.random() < 0.5:
            inside += [b"\x02\x40\x02\x40"]
            if r.random() < 0.5:
                inside += self._constant("i")
                labels: list[Pieces] = [
                    [self._index("label", 4 if not results else 2, r.randrange(2))] for _ in range(3)
                ]
                inside += [b"\x0e", *self._vector(labels), self._index("label", 4, r.randrange(2))]
            else:
                inside += [*self._constant("i"), b"\x0d", Number("label", r.randrange(2), 4)]
            inside += [b"\x0b\x0b"]
        return [*before, opcode, kind, *inside, *self._values(results), b"\x0b" + b"\x1a" * len(results)]

    def _call(self) -> Pieces:
        r = self.r
        index = r.randrange(len(self.functions))
        params, results = self.types[self.functions[index]]
        if r.random() < 0.5:
            return [*self._values(params), b"\x10", self._index("function", len(self.functions), index),
                    b"\x1a" * len(results)]  # fmt: skip
        kind = r.randrange(len(self.types))
        params, results = self.types[kind]
        table = r.choice(self._of(self.tables, "r"))
        return [*self._values(params), *self._constant("i"), b"\x11", self._index("type", len(self.types), kind),
                self._index("table", len(self.tables), table), b"\x1a" * len(results)]  # fmt: skip

    def _local(self, local_kinds: str) -> Pieces:
        index = self.r.randrange(len(local_kinds))
        number = self._index("local", len(local_kinds), index)
        value = self._constant(local_kinds[index])
        return self.r.choice(
            ([b"\x20", number, b"\x1a"], [*value, b"\x21", number], [*value, b"\x22", number, b"\x1a"])
        )

    def _global(self) -> Pieces:
        index = self.r.randrange(len(self.globals))
        kind, mutable = self.globals[index]
        number = self._index("global", len(self.globals), index)
        if mutable and self.r.random() < 0.5:
            return [*self._constant(kind), b"\x24", number]
        return [b"\x23", number, b"\x1a"]

    def _on_table(self) -> Pieces:
        r = self.r
        index = r.randrange(len(self.tables))
        kind = self.tables[index]
        number = self._index("table", len(self.tables), index)
        value, i = self._constant(kind), self._constant("i")
        segments = self._of(self.elements, kind)
        choices: list[Pieces] = [
            [*i, b"\x25", number, b"\x1a"],
            [*i, *value, b"\x26", number],
            [b"\xfc", Number("opcode", 16, 18), number, b"\x1a"],
            [*value, *i, b"\xfc", Number("opcode", 15, 18), number, b"\x1a"],
            [*i, *value, *i, b"\xfc", Number("opcode", 17, 18), number],
            [*i, *i, *i, b"\xfc", Number("opcode", 14, 18), number,
             self._index("table", len(self.tables), r.choice(self._of(self.tables, kind)))],
            [b"\xfc", Number("opcode", 13, 18), self._index("element segment", len(self.elements))],
        ]  # fmt: skip
        if segments:
            segment = self._index("element segment", len(self.elements), r.choice(segments))
            choices.append([*i, *i, *i, b"\xfc", Number("opcode", 12, 18), segment, number])
        return r.choice(choices)

    def _on_memory(self) -> Pieces:
        r = self.r
        if not self.has_memory:
            return [b"\x01"]
        memory = Number("memory", 0, 1, bits=8)
        i = self._constant("i")
        data = self._index("data segment", self.data)
        return r.choice(
            (
                [b"\x3f", memory, b"\x1a"],
                [*i, b"\x40", memory, b"\x1a"],
                [*i, *i, *i, b"\xfc", Number("opcode", 11, 18), memory],
                [*i, *i, *i, b"\xfc", Number("opcode", 10, 18), memory, Number("memory", 0, 1, bits=8)],
                [*i, *i, *i, b"\xfc", Number("opcode", 8, 18), data, memory],
                [b"\xfc", Number("opcode", 9, 18), data],
            )
        )

    def _plain(self) -> Pieces:
        """Any instruction with a fixed signature."""
        rows = ROWS if self.has_memory else [row for row in ROWS if not row.immediate.startswith("MEMARG")]
        row = self.r.choice(rows)
        opcode: Pieces = [row.code]
        if len(row.code) > 1:
            code = sum((byte & 0x7F) << 7 * n for n, byte in enumerate(row.code[1:]))
            opcode = [row.code[:1], Number("opcode", code, 0x114)]
        if row.immediate.startswith("MEMARG"):
            opcode += [Number("alignment", self.r.randint(0, row.aux), row.aux + 1), Number("offset", 8)]
        if row.immediate == "MEMARG_LANE":
            lanes = 16 >> row.aux
            opcode.append(Number("lane", self.r.randrange(lanes), lanes, bits=8))
        if row.immediate == "LANE":
            opcode.append(Number("lane", self.r.randrange(row.aux), row.aux, bits=8))
        if row.immediate == "SHUFFLE":
            opcode += [Number("lane", self.r.randrange(row.aux), row.aux, bits=8) for _ in range(16)]
        return [*self._values(row.operands), *opcode, b"\x1a" * len(row.result)]

    def _reference(self) -> Pieces:
        return [*self._constant(self.r.choice("re")), b"\xd1\x1a"]

    def _select(self) -> Pieces:
        kind = self.r.choice("iIfFvre")
        types = self._vector([[bytes([TYPES[kind]])]])
        return [*self._values(kind + kind + "i"), b"\x1c", *types, b"\x1a"]

    def _body(self, index: int) -> Pieces:
        params, results = self.types[self.functions[index]]
        runs = [(self.r.choice((0, 1, 3)), self.r.choice("iIfFvre")) for _ in range(self.r.randrange(4))]
        local_kinds = params + "".join(kind * count for count, kind in runs)
        makers = [self._block, self._block, self._call, self._on_table, self._on_memory, self._global, self._select]
        makers += [self._plain, self._plain, self._reference]
        out = self._vector([[Number("locals", count), bytes([TYPES[kind]])] for count, kind in runs])
        for _ in range(self.r.randint(2, 8)):
            local = local_kinds and self.r.random() < 0.2
            out += self._local(local_kinds) if local else self.r.choice(makers)()
        return [Sized([*out, *self._values(results), b"\x0b"])]

    def _imports(self) -> Pieces:
        name = b"\1m\1n"
        items: list[Pieces] = [[name, b"\0", self._index("type", len(self.types), kind)] for kind in self.imported]
        items += [[name, b"\1", *self._table(kind)] for kind in self.tables[: self.imported_tables]]
        items += [[name, b"\2", *self._memory()]] if self.imports_memory else []
        items += [[name, b"\3" + bytes([TYPES[kind], mutable])] for kind, mutable in self.imported_globals]
        return self._vector(items)

    def _exports(self) -> Pieces:
        spaces = [len(self.functions), len(self.tables), int(self.has_memory), len(self.globals)]
        words = ("function", "table", "memory", "global")
        kinds = [kind for kind in (0, 1, 2, 3, 0) if spaces[kind]]
        return self._vector(
            [[b"\1" + bytes([97 + n, kind]), self._index(words[kind], spaces[kind])] for n, kind in enumerate(kinds)]
        )

    def _element(self, kind: str) -> Pieces:
        """One of the eight forms."""
        r = self.r
        tables = self._of(self.tables, kind)
        forms = [5, 7] + ([6] if tables else [])
        forms += ([1, 3] + ([2] if tables else []) + ([0, 4] if self.tables[0] == kind else [])) if kind == "r" else []
        form = r.choice(forms)
        out: Pieces = [Number("segment form", form, 8)]
        if form in {2, 6}:
            out.append(self._index("table", len(self.tables), r.choice(tables)))
        if form % 2 == 0:
            out += [*self._constant("i"), b"\x0b"]
        if form & 3:
            out.append(bytes([TYPES[kind]]) if form & 4 else b"\0")
        count = r.randrange(4)
        if form & 4:
            return out + self._vector([[*self._constant(kind), b"\x0b"] for _ in range(count)])
        return out + self._vector([[self._index("function", len(self.functions))] for _ in range(count)])

    def _data(self) -> Pieces:
        form = self.r.choice((0, 1, 2)) if self.has_memory else 1
        out: Pieces = [Number("segment form", form, 3)]
        out += [Number("memory", 0, 1)] if form == 2 else []
        out += [] if form == 1 else [*self._constant("i"), b"\x0b"]
        return [*out, Sized([self.r.randbytes(self.r.randrange(5))])]

    def _names(self) -> Pieces:
        named: list[Pieces] = [
            [self._index("named function", len(self.functions), n), b"\1f"] for n in range(len(self.functions))
        ]
        return [b"\4name\1", Sized(self._vector(named)), b"\0", Sized([b"\1m"])]

    def write(self) -> Pieces:
        """The whole module."""
        own_tables, own_globals = self.tables[self.imported_tables :], self.globals[len(self.imported_globals) :]
        every = len(self.functions)
        declared = self._vector([[self._index("function", every, n)] for n in range(every)])
        elements = [[Number("segment form", 3, 8), b"\0", *declared]]
        sections: list[tuple[int, Pieces]] = [
            (
                1,
                self._vector(
                    [[b"\x60", *self._kinds(params), *self._kinds(results)] for params, results in self.types]
                ),
            ),
            (2, self._imports()),
            (
                3,
                self._vector(
                    [[self._index("type", len(self.types), kind)] for kind in self.functions[len(self.imported) :]]
                ),
            ),
            (4, self._vector([self._table(kind) for kind in own_tables])),
            (5, self._vector([self._memory()] if self.has_memory and not self.imports_memory else [])),
            (6, self._vector([[bytes([TYPES[k], m]), *self._constant(k), b"\x0b"] for k, m in own_globals])),
            (7, self._exports()),
            (8, [self._index("function", every, self.r.choice(self._of(self.functions, 0)))]),
            (9, self._vector([self._element(kind) for kind in self.elements] + elements)),
            (12, [Number("data count", self.data, self.data + 1)]),
            (10, self._vector([self._body(n) for n in range(len(self.imported), every)])),
            (11, self._vector([self._data() for _ in range(self.data)])),
            (0, self._names()),
        ]
        out: Pieces = [b"\0asm\1\0\0\0"]
        for number, content in sections:
            if number == 8 and self.r.random() < 0.5:
                continue
            out += [Number("section", number, 13, bits=8), Sized(content)]
        return out

    def _kinds(self, kinds: str) -> Pieces:
        return self._vector([[bytes([TYPES[kind]])] for kind in kinds])


def _disturb(r: random.Random, number: Number) -> str:
    """Change a number; what was done."""
    if number.bits != 8 and r.random() < 0.35:
        number.encoding = r.choice(LIMIT_ENCODINGS if number.what in LIMITS else ENCODINGS)
        return number.encoding
    near = (number.bound, number.bound + 1, max(number.bound - 1, 0), number.value + 1, max(number.value - 1, 0))
    if number.bits == 8:
        number.value = r.choice((*near, 0x7F, 0x80, 0xFF)) & 0xFF
    elif r.random() < 0.35:
        number.value = r.choice(near)
    elif r.random() < 0.25:
        number.value = U32_MAX
    elif number.signed:
        number.value = r.choice((*SIGNED_EDGES, *(WIDE_EDGES if number.bits == 64 else ())))
    else:
        number.value = r.choice(EDGES)
    if r.random() < 0.2:
        number.encoding = r.choice(("longest", "longer"))
    return "value"


def generate(seed: int) -> tuple[bytes, list[str]]:
    """A module of that seed, and what was changed in it."""
    r = random.Random(seed)
    pieces = Writer(r).write()
    sizes: dict[int, int] = {}
    _encode(pieces, sizes)
    by_kind: dict[str, list[Number]] = {}
    for number in _numbers(pieces):
        by_kind.setdefault(number.what, []).append(number)
    changed = []
    for _ in range(r.choice((0, 1, 1, 1, 1, 1, 1, 2, 3))):
        what = "block type" if "block type" in by_kind and r.random() < 0.1 else r.choice(sorted(by_kind))
        number = r.choice(by_kind[what])
        done = _disturb(r, number)
        if what == "table minimum":
            number.value %= MOST_TABLE
        if what == "size":
            sizes[id(number)] = number.value
        changed.append(f"{what}: {done}")
    return _encode(pieces, sizes), changed


def peer() -> wasmtime.Engine:
    """Wasmtime with the proposals that this engine has."""
    config = wasmtime.Config()
    for name in ("multi_memory", "memory64", "threads", "relaxed_simd", "gc", "function_references", "exceptions",
                 "wide_arithmetic", "stack_switching"):  # fmt: skip
        setattr(config, f"wasm_{name}", False)
    for name in ("tail_call", "reference_types", "simd", "bulk_memory", "multi_value", "custom_page_sizes"):
        setattr(config, f"wasm_{name}", True)
    return wasmtime.Engine(config)


@dataclass
class Verdicts:
    """What was seen."""

    modules: int = 0
    valid: int = 0
    differences: list[str] = field(default_factory=list)
    refused_by_kind: Counter[str] = field(default_factory=Counter)
    accepted_by_kind: Counter[str] = field(default_factory=Counter)


def _problem_here(data: bytes) -> str | None:
    try:
        Module(data)
    except ModuleError as problem:
        return str(problem)
    return None


def _problem_there(engine: wasmtime.Engine, data: bytes) -> str | None:
    try:
        wasmtime.Module.validate(engine, data)
    except wasmtime.WasmtimeError as problem:
        return str(problem)
    return None


def compare(seed: int, engine: wasmtime.Engine, seen: Verdicts) -> bytes:
    """Judge a seed's module on both sides; gives the module."""
    data, changed = generate(seed)
    here, there = _problem_here(data), _problem_there(engine, data)
    seen.modules += 1
    seen.valid += here is None
    for what in changed:
        (seen.accepted_by_kind if here is None else seen.refused_by_kind)[what] += 1
    if (here is None) != (there is None):
        seen.differences.append(
            f"seed {seed}: {'; '.join(changed)}: here: {here}; wasmtime: {there}; module: {data.hex()}"
        )
    return data


def reading_problem(data: bytes) -> str | None:
    """What other readers of a module make of it that they should not, or None."""
    if _problem_here(data) is None:
        try:
            generate_native(ModuleReader(bare_module(data)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            return f"the native compiler: {error!r}"
        return None
    with tempfile.TemporaryDirectory(prefix="wasel-indices-") as folder:
        file = Path(folder) / "module.wasm"
        file.write_bytes(data)
        for words in (["compile", str(file), "-o", f"{file}.out"], ["inspect", str(file)]):
            said = io.StringIO()
            code: object = "none"
            try:
                with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                    wasel(words)
            except SystemExit as end:
                code = end.code
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                return f"wasel {words[0]}: {error!r}"
            text = said.getvalue()
            if code != REFUSED or not text.startswith(f"wasel: {file}: ") or text.count("\n") != 1:
                return f"wasel {words[0]}: exit code {code}: {text}"
    return None


def main() -> int:
    """Entry point of ``python -m tests.fuzz.indices``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--count", type=int, default=100_000, help="stop after so many modules")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--write", type=Path, help="keep the first seed's module in a file, judge nothing")
    chosen = parser.parse_args()
    if chosen.write:
        chosen.write.write_bytes(generate(chosen.first)[0])
        return 0
    end = time.monotonic() + chosen.seconds
    seen = Verdicts()
    engine = peer()
    told = 0
    while time.monotonic() < end and seen.modules != chosen.count:
        seed = chosen.first + seen.modules
        data = compare(seed, engine, seen)
        problem = reading_problem(data) if seed % READ_EVERY == 0 else None
        seen.differences += [f"seed {seed}: {problem}; module: {data.hex()}"] if problem else []
        for difference in seen.differences[told:]:
            print(difference, flush=True)
        told = len(seen.differences)
    summary = {"modules": seen.modules, "valid": seen.valid, "differences": len(seen.differences)}
    print(json.dumps(summary), flush=True)
    return 1 if seen.differences else 0


if __name__ == "__main__":
    sys.exit(main())
