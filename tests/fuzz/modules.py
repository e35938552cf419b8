# SPDX-License-Identifier: Apache-2.0
"""Valid modules from a seed, for comparing engines: the same seed is the same module, everywhere.

Contract: every module validates, ends within a bound (loops and calls draw on a budget, kept in a global, and an
exhausted one is `unreachable`), and computes the same in every correct engine: NaNs, whose bits the specification
leaves open, are made canonical wherever their bits could be seen.

Instructions come from the engine's own table (src/opcodes.def); what has no signature there is written here. Host
functions: HOSTS. Exports: functions f0.. without vectors, "reset" (the budget is full again), globals g0.., memory "m"
if there is one.
"""

from __future__ import annotations

import random
import re
import struct
from dataclasses import dataclass, field
from pathlib import Path

from agent.binary import encode_unsigned
from tests.engine import binary
from tests.engine.binary import encode_signed

__all__ = ["HOSTS", "generate"]

DEFINITIONS = Path(__file__).resolve().parents[2] / "edge_engine" / "src" / "opcodes.def"
ROW = re.compile(r'^EE_OP\((0x\w+), (0x\w+), (\w+), "([^"]*)", (\w+), (\d+), "([^"]*)", (\w+)\)', re.MULTILINE)
TYPES = {"i": 0x7F, "I": 0x7E, "f": 0x7D, "F": 0x7C, "v": 0x7B, "r": 0x70, "e": 0x6F}
NUMBERS = "iIfF"
HOSTS = (("ii", "i"), ("If", "F"), ("", "I"), ("iIfF", ""))  # params, results; see tests/fuzz/differential.py
BUDGET = 400  # loop rounds and calls of one call from outside
TABLE_SIZE, TABLE_MAX = 12, 20
PAGES_MAX = 3
AGAIN = b"\x41\x03\x71\x45"  # a loop goes round once more for every fourth value
NAN_MAKERS = re.compile(r"^F(32X4|64X2)_(ADD|SUB|MUL|DIV|MIN|MAX|SQRT|CEIL|FLOOR|TRUNC|NEAREST|DEMOTE|PROMOTE)")
INTEGERS = (0, 1, -1, 2, 7, 8, 31, 32, 63, 64, 127, 128, 255, 256, 32767, 65535, 65536, 0x7FFFFFFF, -0x80000000)
LONGS = (*INTEGERS, 1 << 32, (1 << 63) - 1, -(1 << 63), 0x0123456789ABCDEF, -(1 << 32))
FLOATS = (0.0, -0.0, 1.0, -1.5, 0.1, 1e10, -3e38, 1e-40, float("inf"), float("-inf"), float("nan"), 2147483648.0,
          -2147483649.0, 4294967296.0, 9.3e18, -9.3e18, 0.5, 2.5, 255.5)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """An instruction with a fixed signature."""

    code: bytes
    name: str
    immediate: str
    aux: int
    operands: str
    result: str


def _rows() -> list[Row]:
    rows = []
    for prefix, code, name, _, immediate, aux, signature, _ in ROW.findall(DEFINITIONS.read_text()):
        if signature == "*" or immediate not in {"NONE", "MEMARG", "MEMARG_LANE", "LANE", "SHUFFLE"}:
            continue
        operands, result = signature.split(":")
        head = bytes([int(code, 16)]) if prefix == "0x00" else bytes([int(prefix, 16)]) + encode_unsigned(int(code, 16))
        rows.append(Row(head, name, immediate, int(aux), operands, result))
    return rows


ROWS = _rows()


@dataclass
class Plan:
    """What the whole module has; function bodies are written against it."""

    types: list[tuple[str, str]] = field(default_factory=list)  # params, results
    functions: list[int] = field(default_factory=list)  # type of each, imports first
    imported: int = 0
    globals: list[tuple[str, bool]] = field(default_factory=list)
    has_memory: bool = True
    pages: int = 1
    data: list[bytes] = field(default_factory=list)
    elements: int = 0  # passive segments
    simd: bool = True

    def type_index(self, params: str, results: str) -> int:
        """Index of a type, added if it is new."""
        if (params, results) not in self.types:
            self.types.append((params, results))
        return self.types.index((params, results))


class Body:
    """Writes one function body: expressions from the type that is wanted down to constants."""

    def __init__(self, source: random.Random, plan: Plan, index: int) -> None:
        self.r = source
        self.plan = plan
        self.params, self.results = plan.types[plan.functions[index]]
        extra = "iIfF" + "".join(source.choice("iIfF" + "v" * plan.simd) for _ in range(source.randrange(6)))
        self.locals = self.params + extra
        self.scratch = {kind: len(self.locals) + n for n, kind in enumerate("fFv" if plan.simd else "fF")}
        self.local_types = self.locals[len(self.params) :] + "".join(self.scratch)
        self.labels: list[str] = []  # types that a branch to each takes, outermost first
        self.size = source.choice((20, 60, 150, 400))  # instructions left, about
        by_result: dict[str, list[Row]] = {}
        for row in ROWS:
            usable = (plan.simd or "v" not in row.operands + row.result) and (
                plan.has_memory or not row.immediate.startswith("MEMARG")
            )
            if usable:
                by_result.setdefault(row.result, []).append(row)
        self.rows = by_result

    # Pieces

    def constant(self, kind: str) -> bytes:
        """A constant, often one that sits on an edge."""
        r = self.r
        if kind == "i":
            value = r.choice(INTEGERS) if r.random() < 0.6 else r.randrange(-(1 << 31), 1 << 31)
            return b"\x41" + encode_signed(value)
        if kind == "I":
            value = r.choice(LONGS) if r.random() < 0.6 else r.randrange(-(1 << 63), 1 << 63)
            return b"\x42" + encode_signed(value)
        if kind == "f":
            return b"\x43" + struct.pack("<f", max(-3e38, min(3e38, r.choice(FLOATS))) if r.random() < 0.9 else 1e20)
        if kind == "F":
            return b"\x44" + struct.pack("<d", r.choice(FLOATS) if r.random() < 0.8 else r.uniform(-1e6, 1e6))
        if kind == "v":
            return b"\xfd\x0c" + r.randbytes(16)
        return b"\xd0" + bytes([TYPES[kind]])

    def canonical(self, kind: str) -> bytes:
        """Replace the float on the stack by a canonical NaN if it is one."""
        put, get = (b"\x22", b"\x20")
        local = encode_unsigned(self.scratch[kind])
        nan, equal = {
            "f": (b"\x43\0\0\xc0\x7f", b"\x5b"),
            "F": (b"\x44\0\0\0\0\0\0\xf8\x7f", b"\x61"),
        }[kind]
        return put + local + nan + get + local + get + local + equal + b"\x1b"

    def canonical_vector(self, name: str) -> bytes:
        """As canonical, for the lanes of the vector on the stack."""
        local = encode_unsigned(self.scratch["v"])
        wide = name.startswith("F64X2") != ("DEMOTE" in name or "PROMOTE" in name)
        if "DEMOTE" in name:
            wide = False
        elif "PROMOTE" in name:
            wide = True
        nan = (b"\0\0\0\0\0\0\xf8\x7f" * 2) if wide else (b"\0\0\xc0\x7f" * 4)
        equal = b"\xfd\x47" if wide else b"\xfd\x41"
        return b"\x22" + local + b"\xfd\x0c" + nan + (b"\x20" + local) * 2 + equal + b"\xfd\x52"

    def draw(self) -> bytes:
        """Take one from the budget; an exhausted budget is `unreachable`."""
        return b"\x23\0\x41\x01\x6b\x24\0\x23\0\x41\0\x48\x04\x40\x00\x0b"

    def address(self, depth: int) -> bytes:
        """An i32, mostly inside the memory."""
        chance = self.r.random()
        if chance < 0.3:
            return b"\x41" + encode_signed(self.r.randrange(0, self.plan.pages << 16))
        if chance < 0.95:
            return self.value("i", depth) + b"\x41" + encode_signed(self.r.choice((0xFF, 0xFFF, 0xFFFF))) + b"\x71"
        return self.value("i", depth)

    def memarg(self, row: Row) -> bytes:
        chance = self.r.random()
        if chance < 0.96:
            offset = self.r.choice((0, 0, 1, 8, 15, 255, 4096))
        else:  # at the edges of the engine's encoding, and anything
            offset = self.r.choice((32768, 65535, 65536)) if chance < 0.98 else self.r.randrange(1 << 32)
        return encode_unsigned(self.r.randint(0, row.aux)) + encode_unsigned(offset)

    def apply(self, row: Row, depth: int) -> bytes:
        """An instruction of the table with its operands."""
        out = b""
        seen = "REINTERPRET" in row.name or "STORE" in row.name or "COPYSIGN" in row.name or "v" in row.result
        for n, kind in enumerate(row.operands):
            out += self.address(depth) if n == 0 and row.immediate.startswith("MEMARG") else self.value(kind, depth)
            if kind in "fF" and seen:
                out += self.canonical(kind)
        out += row.code
        if row.immediate.startswith("MEMARG"):
            out += self.memarg(row)
        if row.immediate in {"LANE", "MEMARG_LANE"}:
            lanes = 16 >> row.aux if row.immediate == "MEMARG_LANE" else row.aux
            out += bytes([self.r.randrange(lanes)])
        if row.immediate == "SHUFFLE":
            out += bytes(self.r.randrange(32) for _ in range(16))
        if NAN_MAKERS.match(row.name) and row.result == "v":
            out += self.canonical_vector(row.name)
        return out

    def block_type(self, result: str) -> bytes:
        return b"\x40" if not result else bytes([TYPES[result]])

    def locals_of(self, kind: str) -> list[int]:
        return [n for n, each in enumerate(self.locals) if each == kind]

    # Expressions

    def value(self, kind: str, depth: int) -> bytes:
        """Code that leaves one value of that kind."""
        self.size -= 1
        if depth <= 0 or self.size <= 0:
            return self.leaf(kind)
        r = self.r
        chance = r.random()
        if chance < 0.15:
            return self.leaf(kind)
        if chance < 0.72 and kind in self.rows:
            return self.apply(r.choice(self.rows[kind]), depth - 1)
        makers = [
            self.select,
            self.block_value,
            self.if_value,
            self.loop_value,
            self.tee,
            self.call_value,
            self.special,
        ]
        return r.choice(makers)(kind, depth - 1) or self.leaf(kind)

    def leaf(self, kind: str) -> bytes:
        options = [b"\x20" + encode_unsigned(n) for n in self.locals_of(kind)]
        options += [
            b"\x23" + encode_unsigned(n) for n, (each, _) in enumerate(self.plan.globals) if each == kind and n > 0
        ]
        if not options or self.r.random() < 0.3:
            return self.constant(kind)
        return self.r.choice(options)

    def select(self, kind: str, depth: int) -> bytes:
        out = self.value(kind, depth) + self.value(kind, depth) + self.value("i", depth)
        return out + (
            b"\x1b" if kind in NUMBERS + "v" and self.r.random() < 0.7 else b"\x1c\x01" + bytes([TYPES[kind]])
        )

    def block_value(self, kind: str, depth: int) -> bytes:
        self.labels.append(kind)
        out = b"\x02" + self.block_type(kind) + self.statements(depth, 2) + self.value(kind, depth)
        if self.r.random() < 0.4:
            out += self.value("i", depth) + b"\x0d\0"  # br_if that leaves the value
        self.labels.pop()
        return out + b"\x0b"

    def if_value(self, kind: str, depth: int) -> bytes:
        out = self.value("i", depth) + b"\x04" + self.block_type(kind)
        self.labels.append(kind)
        out += self.statements(depth, 1) + self.value(kind, depth)
        out += b"\x05" + self.statements(depth, 1) + self.value(kind, depth)
        self.labels.pop()
        return out + b"\x0b"

    def loop_value(self, kind: str, depth: int) -> bytes:
        self.labels.append("")
        out = b"\x03" + self.block_type(kind) + self.draw() + self.statements(depth, 2)
        out += self.value("i", depth) + AGAIN + b"\x0d\0" + self.value(kind, depth)
        self.labels.pop()
        return out + b"\x0b"

    def tee(self, kind: str, depth: int) -> bytes:
        found = self.locals_of(kind)
        return self.value(kind, depth) + b"\x22" + encode_unsigned(self.r.choice(found)) if found else b""

    def call_value(self, kind: str, depth: int) -> bytes:
        return self.call(depth, lambda results: results == kind)

    def call(self, depth: int, wanted) -> bytes:
        plan = self.plan
        found = [n for n, kind in enumerate(plan.functions) if wanted(plan.types[kind][1])]
        if not found:
            return b""
        index = self.r.choice(found)
        kind = plan.functions[index]
        if index < plan.imported:
            for_host = b""
            for each in plan.types[kind][0]:
                for_host += self.value(each, depth) + (self.canonical(each) if each in "fF" else b"")
            return self.draw() + for_host + b"\x10" + encode_unsigned(index)
        out = self.draw() + b"".join(self.value(each, depth) for each in plan.types[kind][0])
        if self.r.random() < 0.4:
            out += self.table_index(depth) + b"\x11" + encode_unsigned(kind) + b"\0"
            return out
        return out + b"\x10" + encode_unsigned(index)

    def table_index(self, depth: int) -> bytes:
        if self.r.random() < 0.6:
            return b"\x41" + encode_signed(self.r.randrange(TABLE_SIZE + 2))
        return self.value("i", depth) + b"\x41\x0f\x71"

    def special(self, kind: str, depth: int) -> bytes:
        """What reads the instance's state."""
        r = self.r
        options: list[bytes] = []
        if kind == "i":
            options = [b"\xfc\x10\0", b"\xfc\x10\x01", self.reference("r", depth) + b"\xd1"]
            options.append(self.reference("r", 0) + b"\x41" + encode_signed(r.randrange(3)) + b"\xfc\x0f\0")
            if self.plan.has_memory:
                options += [b"\x3f\0", b"\x41" + encode_signed(r.choice((0, 0, 0, 1, 1, 7, -1))) + b"\x40\0"]
        return r.choice(options) if options else b""

    def reference(self, kind: str, depth: int) -> bytes:
        chance = self.r.random()
        if chance < 0.3:
            return b"\xd0" + bytes([TYPES[kind]])
        if kind == "r" and chance < 0.6:
            return b"\xd2" + encode_unsigned(self.r.randrange(len(self.plan.functions)))
        return self.table_index(depth) + b"\x25" + (b"\0" if kind == "r" else b"\x01")

    # Statements

    def statements(self, depth: int, most: int) -> bytes:
        return b"".join(self.statement(depth) for _ in range(self.r.randint(0, most)))

    def statement(self, depth: int) -> bytes:
        """Code that leaves the stack as it was."""
        self.size -= 1
        if self.size <= 0:
            return b"\x01"
        makers = [self.set_local] * 5 + [self.set_global, self.store, self.store, self.drop, self.nest, self.branch]
        makers += [self.void_call, self.bulk, self.table_work, self.switch, self.loop, self.many, self.leave]
        return self.r.choice(makers)(depth - 1)

    def set_local(self, depth: int) -> bytes:
        index = self.r.randrange(len(self.locals))
        return self.value(self.locals[index], depth) + b"\x21" + encode_unsigned(index)

    def set_global(self, depth: int) -> bytes:
        found = [n for n, (_, mutable) in enumerate(self.plan.globals) if mutable and n > 0]
        if not found:
            return b"\x01"
        index = self.r.choice(found)
        kind = self.plan.globals[index][0]
        return (
            self.value(kind, depth) + (self.canonical(kind) if kind in "fF" else b"") + b"\x24" + encode_unsigned(index)
        )

    def store(self, depth: int) -> bytes:
        found = [row for row in self.rows.get("", []) if row.immediate.startswith("MEMARG")]
        return self.apply(self.r.choice(found), depth) if found else b"\x01"

    def drop(self, depth: int) -> bytes:
        return self.value(self.r.choice("iIfF" + "v" * self.plan.simd), depth) + b"\x1a"

    def nest(self, depth: int) -> bytes:
        condition = self.value("i", depth)
        self.labels.append("")
        if self.r.random() < 0.5:
            out = condition + b"\x1a\x02\x40" + self.statements(depth, 3)
        else:
            out = condition + b"\x04\x40" + self.statements(depth, 2)
            if self.r.random() < 0.5:
                out += b"\x05" + self.statements(depth, 2)
        self.labels.pop()
        return out + b"\x0b"

    def loop(self, depth: int) -> bytes:
        self.labels.append("")
        out = b"\x03\x40" + self.draw() + self.statements(depth, 3) + self.value("i", depth) + AGAIN
        self.labels.pop()
        return out + b"\x0d\0\x0b"

    def branch(self, depth: int) -> bytes:
        """br_if to a label without values, or out of a block that something dead follows."""
        found = [n for n, kind in enumerate(reversed(self.labels)) if not kind]
        if found:
            return self.value("i", depth) + b"\x0d" + encode_unsigned(self.r.choice(found))
        return b"\x01"

    def leave(self, depth: int) -> bytes:
        """Inside `if`: branch, return or trap without condition, and dead code behind it."""
        condition = self.value("i", depth) + self.value("i", depth) + b"\x71"
        self.labels.append("")
        choice = self.r.randrange(5)
        if choice == 0:
            out = b"\0"
        elif choice == 1:
            out = b"".join(self.value(each, depth) for each in self.results) + b"\x0f"
        elif choice == 2:
            target = self.r.choice([n for n, kind in enumerate(reversed(self.labels)) if kind != "*"])
            kind = self.labels[-1 - target]
            out = (self.value(kind, depth) if kind else b"") + b"\x0c" + encode_unsigned(target)
        else:
            out = self.tail_call(depth)
        out += self.statements(depth, 1) if self.r.random() < 0.5 else b""
        self.labels.pop()
        return condition + b"\x04\x40" + out + b"\x0b"

    def tail_call(self, depth: int) -> bytes:
        plan = self.plan
        found = [
            n for n, kind in enumerate(plan.functions) if plan.types[kind][1] == self.results and n >= plan.imported
        ]
        index = self.r.choice(found)  # at least this function itself
        kind = plan.functions[index]
        out = self.draw() + b"".join(self.value(each, depth) for each in plan.types[kind][0])
        if self.r.random() < 0.4:
            return out + self.table_index(depth) + b"\x13" + encode_unsigned(kind) + b"\0"
        return out + b"\x12" + encode_unsigned(index)

    def void_call(self, depth: int) -> bytes:
        return self.call(depth, lambda results: results == "") or b"\x01"

    def many(self, depth: int) -> bytes:
        """A block of a type with several parameters and results, or a call with several results."""
        plan = self.plan
        if self.r.random() < 0.5:
            params, results = self.r.choice([each for each in plan.types if "v" not in "".join(each) or plan.simd])
            out = (
                b"".join(self.value(each, depth) for each in params)
                + b"\x02"
                + encode_signed(plan.type_index(params, results))
            )
            self.labels.append("*")
            out += b"\x1a" * len(params) + b"".join(self.value(each, depth) for each in results)
            self.labels.pop()
            out += b"\x0b"
        else:
            found = sorted({plan.types[kind][1] for kind in plan.functions if len(plan.types[kind][1]) > 1})
            if not found:
                return b"\x01"
            results = self.r.choice(found)
            out = self.call(depth, lambda each: each == results)
        for each in reversed(results):
            places = self.locals_of(each)
            out += b"\x21" + encode_unsigned(self.r.choice(places)) if places and self.r.random() < 0.8 else b"\x1a"
        return out

    def switch(self, depth: int) -> bytes:
        """br_table over a few nested blocks."""
        count = self.r.randint(1, 5)
        self.labels += [""] * count
        index = self.value("i", depth) + (b"\x41\x07\x71" if self.r.random() < 0.8 else b"")
        targets = [encode_unsigned(self.r.randrange(count)) for _ in range(self.r.randint(1, 8))]
        out = b"\x02\x40" * count + index + b"\x0e" + encode_unsigned(len(targets) - 1) + b"".join(targets)
        for _ in range(count):
            self.labels.pop()
            out += b"\x0b" + self.statements(depth, 1)
        return out

    def bulk(self, depth: int) -> bytes:
        plan = self.plan
        if not plan.has_memory:
            return b"\x01"
        size = b"\x41" + encode_signed(self.r.choice((0, 1, 3, 16, 100, 4000)))
        choice = self.r.randrange(4)
        if choice == 0:
            return self.address(depth) + self.value("i", depth) + size + b"\xfc\x0b\0"
        if choice == 1:
            return self.address(depth) + self.address(depth) + size + b"\xfc\x0a\0\0"
        index = self.r.randrange(len(plan.data))
        if choice == 2:
            start = b"\x41" + encode_signed(self.r.randrange(4))
            count = b"\x41" + encode_signed(self.r.randrange(len(plan.data[index]) + 2))
            return self.address(depth) + start + count + b"\xfc\x08" + encode_unsigned(index) + b"\0"
        return b"\xfc\x09" + encode_unsigned(index) if self.r.random() < 0.2 else b"\x01"

    def table_work(self, depth: int) -> bytes:
        r = self.r
        kind = r.choice("re")
        table = b"\0" if kind == "r" else b"\x01"
        size = b"\x41" + encode_signed(r.randrange(5))
        match r.randrange(5):
            case 0:
                return self.table_index(depth) + self.reference(kind, depth) + b"\x26" + table
            case 1:
                return self.table_index(depth) + self.reference(kind, depth) + size + b"\xfc\x11" + table
            case 2:
                return self.table_index(depth) + self.table_index(depth) + size + b"\xfc\x0e" + table + table
            case 3:
                segment = encode_unsigned(r.randrange(self.plan.elements))
                return self.table_index(depth) + b"\x41\0" + size + b"\xfc\x0c" + segment + b"\0"
            case _:
                if r.random() < 0.8:
                    return self.reference(kind, 0) + size + b"\xfc\x0f" + table + b"\x1a"
                return b"\xfc\x0d" + encode_unsigned(r.randrange(self.plan.elements))

    def write(self) -> bytes:
        """The whole body, as an entry of the code section."""
        depth = self.r.choice((3, 4, 5, 6))
        code = self.statements(depth, 6)
        for kind in self.results:
            self.size = max(self.size, 10)
            code += self.value(kind, depth)
        return binary.body(code, [(1, TYPES[kind]) for kind in self.local_types])


def _plan(r: random.Random) -> Plan:
    plan = Plan(simd=r.random() < 0.5, has_memory=r.random() < 0.95)
    for params, results in HOSTS:
        plan.functions.append(plan.type_index(params, results))
    plan.imported = len(HOSTS)
    for _ in range(r.randint(1, 7)):
        inner = r.random() < 0.2 and plan.simd  # vectors do not cross the edge
        kinds = NUMBERS + "v" * inner
        params = "".join(r.choice(kinds) for _ in range(r.randrange(5)))
        results = "".join(r.choice(kinds) for _ in range(r.choice((0, 1, 1, 1, 1, 2, 3))))
        plan.functions.append(plan.type_index(params, results))
    plan.globals = [("i", True), *((kind, True) for kind in NUMBERS)]
    plan.globals += [(r.choice(NUMBERS + "v" * plan.simd), r.random() < 0.8) for _ in range(r.randrange(4))]
    plan.pages = r.choice((1, 1, 2))
    plan.data = [r.randbytes(r.randrange(1, 40)) for _ in range(3)]
    plan.elements = 3
    return plan


def generate(seed: int) -> bytes:
    """A module of that seed."""
    r = random.Random(seed)
    plan = _plan(r)
    bodies = [Body(r, plan, n).write() for n in range(plan.imported, len(plan.functions))]
    count = len(plan.functions)
    plan.functions.append(plan.type_index("", ""))  # nobody calls it inside
    bodies.append(binary.body(b"\x41" + encode_signed(BUDGET) + b"\x24\0"))
    constants = Body(r, plan, plan.imported)
    start = [n for n in range(plan.imported, count) if plan.types[plan.functions[n]] == ("", "")]
    picks = [encode_unsigned(r.randrange(count)) for _ in range(r.randint(1, TABLE_SIZE))]
    at = r.randrange(TABLE_SIZE - len(picks) + 1) if r.random() < 0.97 else TABLE_SIZE
    data_at = r.randrange(1 << 16) if r.random() < 0.97 else (plan.pages << 16)
    declared = r.sample(range(count), k=r.randint(1, count))
    exports = [
        binary.export(f"f{n}", 0, n)
        for n in range(plan.imported, count)
        if "v" not in "".join(plan.types[plan.functions[n]])
    ]
    exports.append(binary.export("reset", 0, count))
    exports += [binary.export(f"g{n}", 3, n) for n, (kind, _) in enumerate(plan.globals) if kind != "v"]
    named = min(count, 30)
    names = b"\x04name" + b"\x01" + encode_unsigned(1 + 4 * named) + encode_unsigned(named)
    names += b"".join(bytes([n, 2]) + f"n{n % 10}".encode() for n in range(named))
    sections: dict[int, list[bytes] | bytes] = {
        binary.TYPES: [
            binary.function_type(bytes(TYPES[k] for k in p), bytes(TYPES[k] for k in q)) for p, q in plan.types
        ],
        binary.IMPORTS: [
            binary.name("h") + binary.name(f"{n}") + b"\0" + encode_unsigned(plan.functions[n])
            for n in range(plan.imported)
        ],
        binary.FUNCTIONS: [encode_unsigned(kind) for kind in plan.functions[plan.imported :]],
        binary.TABLES: [bytes([0x70, 1, TABLE_SIZE, TABLE_MAX]), bytes([0x6F, 1, TABLE_SIZE, TABLE_MAX])],
        binary.GLOBALS: [
            bytes([TYPES[kind], mutable])
            + (b"\x41" + encode_signed(BUDGET) if n == 0 else constants.constant(kind))
            + b"\x0b"
            for n, (kind, mutable) in enumerate(plan.globals)
        ],
        binary.EXPORTS: exports + ([binary.export("m", 2, 0)] if plan.has_memory else []),
        binary.ELEMENTS: [
            b"\0\x41" + encode_signed(at) + b"\x0b" + binary.vector(picks),
            b"\1\0" + binary.vector([encode_unsigned(n) for n in declared]),
            b"\5\x70"
            + binary.vector([b"\xd2" + encode_unsigned(n) + b"\x0b" for n in range(count)] + [b"\xd0\x70\x0b"]),
        ],
        binary.CODE: bodies,
        binary.DATA_COUNT: encode_unsigned(3),
    }
    data = [plan.data[0], plan.data[1], plan.data[2]]
    if plan.has_memory:
        sections[binary.MEMORIES] = [bytes([1, plan.pages, PAGES_MAX])]
        first = (
            b"\0\x41"
            + encode_signed(min(data_at, (plan.pages << 16)))
            + b"\x0b"
            + encode_unsigned(len(data[0]))
            + data[0]
        )
    else:
        first = b"\1" + encode_unsigned(len(data[0])) + data[0]
    sections[binary.DATA] = [first, *(b"\1" + encode_unsigned(len(each)) + each for each in data[1:])]
    if start and r.random() < 0.5:
        sections[binary.START] = encode_unsigned(r.choice(start))
    out = binary.module(sections)
    return out + binary.section(0, names)
