# SPDX-License-Identifier: Apache-2.0
"""Decodes a WebAssembly module for the native compiler (core spec 2.0, chapter 5).

Contract: the engine has validated the bytes before (``edge_engine.Module``), so nothing is checked here. Bodies stay
bytes; ``instructions`` walks one, by the engine's own table of instructions (``src/opcodes.def``).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Function", "FunctionType", "Instruction", "ModuleReader", "OpRow", "instructions", "op_table"]

OPCODES = Path(__file__).resolve().parents[1] / "src" / "opcodes.def"
LETTERS = {0x7F: "i", 0x7E: "I", 0x7D: "f", 0x7C: "F", 0x7B: "v", 0x70: "r", 0x6F: "r"}
EMPTY_BLOCK = 0x40
CONTINUES = 0x80  # bit of a LEB128 byte that is not the last
MEMORY = 2  # kind of an export
LIMITS_MAX, LIMITS_PAGE_SIZE = 1, 8  # bits of the limits' first byte


@dataclass(frozen=True)
class FunctionType:
    """Letters of parameters and results: i32 i, i64 I, f32 f, f64 F, v128 v, references r."""

    params: str
    results: str


@dataclass(frozen=True)
class Function:
    """One of the module's index space. An import has no body."""

    index: int
    type_index: int
    type: FunctionType
    imported: bool = False
    locals: str = ""  # without parameters
    begin: int = 0  # of the instructions, bytes from the module's start
    end: int = 0


@dataclass(frozen=True)
class OpRow:
    """A row of opcodes.def."""

    name: str
    text: str
    immediate: str
    signature: str


@dataclass(slots=True)
class Instruction:
    """One instruction; which fields mean something depends on ``row.immediate``. Not frozen: there are very many."""

    row: OpRow
    at: int  # bytes from the module's start
    index: int = 0
    index2: int = 0
    value: int = 0
    lane: int = 0
    labels: tuple[int, ...] = ()
    data: bytes = b""
    block: FunctionType = FunctionType("", "")


@cache
def op_table() -> dict[tuple[int, int], OpRow]:
    """Rows by prefix and code."""
    rows = {}
    pattern = r'^EE_OP\((0x\w+), (0x\w+), (\w+), "([^"]*)", (\w+), \d+, "([^"]*)", \w+\)'
    for match in re.finditer(pattern, OPCODES.read_text(), re.MULTILINE):
        rows[int(match[1], 16), int(match[2], 16)] = OpRow(match[3], match[4], match[5], match[6])
    return rows


class _Bytes:
    """Reads from ``at`` on."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def unsigned(self) -> int:
        value = self.data[self.at]
        if value < CONTINUES:  # as nearly all are
            self.at += 1
            return value
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < CONTINUES:
                return value

    def signed(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < CONTINUES:
                return value - (1 << shift) if byte & 0x40 else value

    def name(self) -> str:
        return self.take(self.unsigned()).decode()

    def limits(self) -> None:
        flags = self.byte()
        self.unsigned()
        if flags & LIMITS_MAX:
            self.unsigned()
        if flags & LIMITS_PAGE_SIZE:
            self.unsigned()


@dataclass
class ModuleReader:
    """What the generator needs of a module."""

    data: bytes
    types: list[FunctionType] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    globals: list[str] = field(default_factory=list)
    imported_globals: int = 0
    imported_functions: int = 0
    imports: int = 0
    tables: list[str] = field(default_factory=list)
    has_memory: bool = False
    imports_memory: bool = False
    exports_memory: bool = False
    code_bytes: int = 0  # of the code section
    data_bytes: int = 0  # of the data section

    def __post_init__(self) -> None:  # noqa: C901 - one case per section
        """Read all sections."""
        at = _Bytes(self.data, 8)
        declared: list[int] = []
        while at.at < len(self.data):
            number, size = at.byte(), at.unsigned()
            end = at.at + size
            match number:
                case 1:
                    self._types(at)
                case 2:
                    self._imports(at)
                case 3:
                    declared = [at.unsigned() for _ in range(at.unsigned())]
                case 4:
                    for _ in range(at.unsigned()):
                        self.tables.append(LETTERS[at.byte()])
                        at.limits()
                case 5:
                    self.has_memory = self.has_memory or at.unsigned() > 0
                case 6:
                    self._globals(at)
                case 7:
                    self._exports(at)
                case 10:
                    self.code_bytes = size
                    self._code(at, declared)
                case 11:
                    self.data_bytes = size
            at.at = end

    def _types(self, at: _Bytes) -> None:
        for _ in range(at.unsigned()):
            at.byte()
            params = "".join(LETTERS[byte] for byte in at.take(at.unsigned()))
            results = "".join(LETTERS[byte] for byte in at.take(at.unsigned()))
            self.types.append(FunctionType(params, results))

    def _imports(self, at: _Bytes) -> None:
        for _ in range(at.unsigned()):
            at.take(at.unsigned())
            at.take(at.unsigned())
            self.imports += 1
            match at.byte():
                case 0:
                    kind = at.unsigned()
                    self.functions.append(Function(len(self.functions), kind, self.types[kind], imported=True))
                    self.imported_functions += 1
                case 1:
                    self.tables.append(LETTERS[at.byte()])
                    at.limits()
                case 2:
                    self.has_memory = self.imports_memory = True
                    at.limits()
                case _:
                    self.globals.append(LETTERS[at.byte()])
                    self.imported_globals += 1
                    at.byte()

    def _globals(self, at: _Bytes) -> None:
        for _ in range(at.unsigned()):
            self.globals.append(LETTERS[at.byte()])
            at.byte()
            for _instruction in instructions(self, at.at, len(self.data)):
                end = _instruction.at + 1
                if _instruction.row.name == "END":
                    break
            at.at = end

    def _exports(self, at: _Bytes) -> None:
        for _ in range(at.unsigned()):
            at.take(at.unsigned())
            kind = at.byte()
            at.unsigned()
            self.exports_memory = self.exports_memory or kind == MEMORY

    def _code(self, at: _Bytes, declared: list[int]) -> None:
        for kind in (declared[n] for n in range(at.unsigned())):
            end = at.unsigned() + at.at
            locals_ = ""
            for _ in range(at.unsigned()):
                count = at.unsigned()
                locals_ += LETTERS[at.byte()] * count
            number = len(self.functions)
            self.functions.append(Function(number, kind, self.types[kind], False, locals_, at.at, end))
            at.at = end


def _block_type(module: ModuleReader, at: _Bytes) -> FunctionType:
    kind = at.signed()
    if kind >= 0:
        return module.types[kind]
    byte = kind & 0x7F
    return FunctionType("", "" if byte == EMPTY_BLOCK else LETTERS[byte])


def instructions(module: ModuleReader, begin: int, end: int) -> Iterator[Instruction]:  # noqa: C901, PLR0912 - one case per immediate
    """Instructions between two offsets in the module."""
    rows = op_table()
    at = _Bytes(module.data, begin)
    while at.at < end:
        start = at.at
        code = at.byte()
        row = rows[code, at.unsigned()] if code in {0xFC, 0xFD} else rows[0, code]
        match row.immediate:
            case "NONE":
                yield Instruction(row, start)
            case "BLOCK":
                yield Instruction(row, start, block=_block_type(module, at))
            case "LABEL" | "FUNCTION" | "LOCAL" | "GLOBAL" | "TABLE" | "ELEMENT" | "DATA":
                yield Instruction(row, start, at.unsigned())
            case "LABELS":
                labels = tuple(at.unsigned() for _ in range(at.unsigned()))
                yield Instruction(row, start, at.unsigned(), labels=labels)
            case "TYPE_TABLE" | "TABLE_TABLE" | "ELEMENT_TABLE" | "DATA_MEMORY" | "MEMORY_MEMORY":
                yield Instruction(row, start, at.unsigned(), at.unsigned())
            case "TYPES":
                count = at.unsigned()
                yield Instruction(row, start, data=at.take(count))
            case "MEMORY" | "LANE":
                yield Instruction(row, start, lane=at.byte())
            case "REFTYPE":
                at.byte()
                yield Instruction(row, start)
            case "MEMARG":
                at.unsigned()
                yield Instruction(row, start, value=at.unsigned())
            case "MEMARG_LANE":
                at.unsigned()
                yield Instruction(row, start, value=at.unsigned(), lane=at.byte())
            case "SHUFFLE" | "V128":
                yield Instruction(row, start, data=at.take(16))
            case "I32":
                yield Instruction(row, start, value=at.signed() & 0xFFFFFFFF)
            case "I64":
                yield Instruction(row, start, value=at.signed() & 0xFFFFFFFFFFFFFFFF)
            case "F32":
                yield Instruction(row, start, value=struct.unpack("<I", at.take(4))[0])
            case "F64":
                yield Instruction(row, start, value=struct.unpack("<Q", at.take(8))[0])
            case unknown:
                raise RuntimeError(f"opcodes.def has an immediate that this reader does not know: {unknown}")
