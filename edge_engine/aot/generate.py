# SPDX-License-Identifier: Apache-2.0
"""WebAssembly functions as C, for the compiler to make native code of (core spec 2.0, chapter 4).

Contract: the module is valid. Every function becomes ``fN``, with the instance before its parameters; ``eN`` is the
trampoline for functions of type N. A function that cannot be compiled stays interpreted: ``refused`` says why, and
calls to it go through the engine. The text depends on the module's bytes and ``fuel`` alone.

Values on the operand stack are C expressions. A pure expression is kept as text until it is used; whatever has effects
is given a name where it happens (``t1``, ``t2``…), and expressions that mention a local are named before it is set.
Blocks are C blocks with a label behind them, loops with a label before them; their results travel in variables.

One file over 600 lines: every instruction's method works on the one operand stack and block stack of `_Writer`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, ClassVar

from edge_engine.aot.reader import Function, FunctionType, Instruction, ModuleReader, instructions
from edge_engine.aot.values import LOAD_ROWS, STORE_ROWS, computations, vectors

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Generated", "generate"]

CTYPES = {"i": "uint32_t", "I": "uint64_t", "f": "float", "F": "double", "v": "ee_f64x2", "r": "uint64_t"}
CELL_TYPES = CTYPES | {"v": "ee_vecu"}  # of globals: cells are aligned to 8 bytes
TO_SLOT = {"i": "{}", "I": "{}", "f": "ee_bits32({})", "F": "ee_bits64({})", "r": "{}"}
FROM_SLOT = {
    "i": "(uint32_t){}",
    "I": "{}",
    "f": "ee_float32((uint32_t){})",
    "F": "ee_float64({})",
    "r": "{}",
}
ACCUMULATORS = {"v": "fa", "i": "(uint32_t)acc", "I": "acc", "f": "fresult", "F": "dresult"}
LONGEST = 100  # characters of an expression before it is given a name
MOST_LOCALS = 8000  # as the interpreter: slots of a frame
PART_BYTES = 24_000  # of WebAssembly before another file begins: two compilers share what is larger
KEEPS_TYPE = re.compile(r"_(ADD|SUB|MUL|AND|OR|XOR|SHL|SHR_U|ROTL|ROTR|CLZ|CTZ|POPCNT)$")
PARENTHESES = re.compile(r"[()]")
OPERANDS = re.compile(r"\b([ab])\b")
TAIL_CALLS = {"RETURN_CALL", "RETURN_CALL_INDIRECT"}
CALLS = {"CALL", "CALL_INDIRECT"}
MEMORY_HELPERS = {"MEMORY_COPY": "memory_copy", "MEMORY_FILL": "memory_fill"}
TABLE_HELPERS = {"TABLE_SET": 2, "TABLE_FILL": 3, "TABLE_INIT": 3, "TABLE_COPY": 3}


@dataclass(frozen=True)
class Generated:
    """C files of a module; functions that have native code, and why the others have none."""

    parts: tuple[str, ...]
    compiled: tuple[int, ...]
    refused: dict[int, str]
    trampolines: dict[int, int]  # function -> number of its trampoline


@dataclass
class _Entry:
    """A value on the operand stack."""

    text: str
    kind: str
    locals: frozenset[int] = frozenset()
    atomic: bool = True  # a name or constant: may be written twice, and never changes


@dataclass
class _Block:
    op: str
    number: int
    type: FunctionType
    height: int  # of the operand stack, without the parameters
    targeted: bool = False
    has_else: bool = False
    params: list[_Entry] = field(default_factory=list)


def _slots(kinds: str) -> int:
    return sum(2 if kind == "v" else 1 for kind in kinds)


def _canonical(module: ModuleReader) -> list[int]:
    first: dict[FunctionType, int] = {}
    return [first.setdefault(kind, number) for number, kind in enumerate(module.types)]


def _is_closed(text: str) -> bool:
    """Tell whether the text is one pair of parentheses."""
    if not text.startswith("("):
        return False
    depth = 0
    for parenthesis in PARENTHESES.finditer(text):
        depth += 1 if parenthesis[0] == "(" else -1
        if depth == 0:
            return parenthesis.end() == len(text)
    return False


@cache
def _pieces(text: str) -> tuple[str, ...]:
    """Split C over ``a`` and ``b`` at those names, which stand at odd places."""
    return tuple(OPERANDS.split(text))


class _Plan:
    """What is known about all functions before the first is written."""

    def __init__(self, module: ModuleReader, *, fuel: bool, prefix: str) -> None:  # noqa: C901 - one pass
        self.module = module
        self.fuel = fuel
        self.prefix = prefix
        self.canonical = _canonical(module)
        self.refused: dict[int, str] = {}
        self.base = "in->memory->base" if module.imports_memory else "in->own_memory.base"
        self.pages = "in->memory->pages" if module.imports_memory else "in->own_memory.pages"
        calls: dict[int, set[int]] = {}
        grows: set[int] = {function.index for function in module.functions if function.imported}
        indirect: set[int] = set()
        tail_calls: dict[int, set[int]] = {}
        any_grow = False
        for function in module.functions:
            if function.imported:
                continue
            direct = calls.setdefault(function.index, set())
            for instruction in instructions(module, function.begin, function.end):
                name = instruction.row.name
                if name == "CALL":
                    direct.add(instruction.index)
                elif name == "CALL_INDIRECT":
                    indirect.add(function.index)
                elif name == "MEMORY_GROW":
                    any_grow = True
                    grows.add(function.index)
                elif name in TAIL_CALLS:
                    self._tail_call(function, instruction, tail_calls)
                    grows.add(function.index)
            if _slots(function.type.params + function.locals) > MOST_LOCALS:
                self.refused[function.index] = "it has too many locals"
        self._refuse_callers(tail_calls)
        if any_grow or module.imports_memory or module.exports_memory:
            grows |= indirect if any_grow or module.imports else set()
            changed = True
            while changed:  # at most once per function
                before = len(grows)
                grows |= {caller for caller, callees in calls.items() if callees & grows}
                changed = len(grows) != before
            self.may_grow = frozenset(grows)
        else:
            self.may_grow = frozenset()
        self.indirect_may_grow = bool(self.may_grow)

    def _tail_call(self, function: Function, instruction: Instruction, tail_calls: dict[int, set[int]]) -> None:
        """Note a tail call; the C compiler makes those to functions of the same type (``musttail``)."""
        if instruction.row.name == "RETURN_CALL":
            kind = self.module.functions[instruction.index].type
            tail_calls.setdefault(function.index, set()).add(instruction.index)
        else:
            kind = self.module.types[instruction.index]
        if kind != function.type:
            self.refused[function.index] = f"it has a tail call ({instruction.row.text}) to a function of another type"

    def _refuse_callers(self, tail_calls: dict[int, set[int]]) -> None:
        """Interpret what tail-calls interpreted functions: native code would keep its frame."""
        changed = True
        while changed:  # at most once per function
            changed = False
            for caller, callees in tail_calls.items():
                if caller not in self.refused and callees & self.refused.keys():
                    self.refused[caller] = "it has a tail call (return_call) to a function that stays interpreted"
                    changed = True

    def is_native(self, function: int) -> bool:
        return not self.module.functions[function].imported and function not in self.refused

    def result_type(self, results: str) -> str:
        if len(results) > 1:
            return f"struct {self.prefix}results_{results}"
        return CTYPES[results] if results else "void"

    def prototype(self, function: Function) -> str:
        params = "".join(f", {CTYPES[kind]} l{n}" for n, kind in enumerate(function.type.params))
        return f"FUNCTION {self.result_type(function.type.results)} {self.prefix}f{function.index}(INSTANCE{params})"

    def pointer(self, kind: FunctionType) -> str:
        params = "".join(f", {CTYPES[letter]}" for letter in kind.params)
        return f"{self.result_type(kind.results)} (*)(struct ee_instance *{params})"


class _Writer:
    """Writes one function."""

    written_by: ClassVar[dict[str, Callable[[_Writer, Instruction], bool]]] = {}
    """The method that writes an instruction, by its name, once that has been found out."""

    def __init__(self, plan: _Plan, function: Function) -> None:
        self.plan = plan
        self.module = plan.module
        self.function = function
        self.kinds = function.type.params + function.locals
        self.lines: list[str] = []
        self.stack: list[_Entry] = []
        self.blocks: list[_Block] = []
        self.names = 0
        self.dead = False
        self.skipped = 0
        self.uses_memory = False
        self.calls = False
        self.slots = 0  # of `s`, where the engine takes operands and leaves results
        self.charges: list[tuple[int, int]] = []  # line of each head, instructions behind it
        self.open_charges: list[int] = []

    # Lines and values

    def emit(self, line: str) -> None:
        self.lines.append("    " * (len(self.blocks)) + line)

    def push(self, text: str, kind: str, locals_: frozenset[int] = frozenset(), *, atomic: bool = False) -> None:
        entry = _Entry(text, kind, locals_, atomic)
        if len(text) > LONGEST:
            entry = self.named(entry)
        self.stack.append(entry)

    def named(self, entry: _Entry) -> _Entry:
        """Compute an entry here and now."""
        if entry.atomic:
            return entry
        self.names += 1
        name = f"t{self.names}"
        self.emit(f"const {CTYPES[entry.kind]} {name} = {entry.text};")
        return _Entry(name, entry.kind)

    def push_named(self, text: str, kind: str) -> None:
        self.stack.append(self.named(_Entry(text, kind, atomic=False)))

    def pop(self) -> _Entry:
        return self.stack.pop()

    def pop_many(self, count: int) -> list[_Entry]:
        if count == 0:
            return []
        taken = self.stack[-count:]
        del self.stack[-count:]
        return taken

    def pop_named(self) -> _Entry:
        return self.named(self.pop())

    def settle(self) -> None:
        """Name whatever mentions a local or is long: control flow begins."""
        self.stack = [entry if entry.atomic else self.named(entry) for entry in self.stack]

    def forget_local(self, local: int) -> None:
        self.stack = [self.named(entry) if local in entry.locals else entry for entry in self.stack]

    # Control

    def result_variable(self, block: _Block, n: int) -> str:
        return f"b{block.number}_{n}"

    def label_kinds(self, block: _Block) -> str:
        return block.type.params if block.op == "LOOP" else block.type.results

    def assign(self, block: _Block, values: list[_Entry], *, as_label: bool) -> None:
        prefix = "p" if as_label and block.op == "LOOP" else "b"
        for n, entry in enumerate(values):
            self.emit(f"{prefix}{block.number}_{n} = {entry.text};")

    def branch(self, depth: int) -> None:
        """Jump to a label with the values that are on top; they stay."""
        block = self.blocks[-1 - depth]
        kinds = self.label_kinds(block)
        values = self.stack[len(self.stack) - len(kinds) :] if kinds else []
        if block.op == "BODY":
            self.give_back(values)
            return
        self.assign(block, values, as_label=True)
        block.targeted = True
        self.emit(f"goto L{block.number};")

    def give_back(self, values: list[_Entry]) -> None:
        results = self.function.type.results
        if len(results) > 1:
            fields = ", ".join(entry.text for entry in values)
            self.emit(f"return ({self.plan.result_type(results)}){{{fields}}};")
        elif results:
            self.emit(f"return {values[0].text};")
        else:
            self.emit("return;")

    def die(self) -> None:
        self.dead = True
        self.skipped = 0

    def open_block(self, instruction: Instruction) -> None:
        name = instruction.row.name
        condition = self.pop() if name == "IF" else None
        self.settle()
        self.names += 1
        block = _Block(name, self.names, instruction.block, len(self.stack) - len(instruction.block.params))
        params = self.stack[block.height :]
        for n, kind in enumerate(block.type.results):
            self.emit(f"{CTYPES[kind]} b{block.number}_{n};")
        if name == "LOOP":
            for n, entry in enumerate(params):
                self.emit(f"{CTYPES[entry.kind]} p{block.number}_{n} = {entry.text};")
            self.emit(f"L{block.number}:;")
            self.emit("{")
        elif condition is not None:
            self.emit(f"if ({condition.text}) {{")
        else:
            self.emit("{")
        self.blocks.append(block)
        if name == "LOOP":
            del self.stack[block.height :]
            for n, kind in enumerate(block.type.params):
                self.push_named(f"p{block.number}_{n}", kind)
            self.charge()
        block.params = self.stack[block.height :]

    def charge(self) -> None:
        if self.plan.fuel:
            self.charges.append((len(self.lines), 0))
            self.open_charges.append(len(self.charges) - 1)
            self.emit("WN_CHARGE(@);")

    def count(self) -> None:
        if self.plan.fuel:
            line, units = self.charges[self.open_charges[-1]]
            self.charges[self.open_charges[-1]] = (line, units + 1)

    def leave_values(self) -> None:
        block = self.blocks[-1]
        if not self.dead and block.type.results:
            self.assign(block, self.stack[-len(block.type.results) :], as_label=False)

    def otherwise(self) -> None:
        block = self.blocks[-1]
        self.leave_values()
        block.has_else = True
        block.targeted = block.targeted or not self.dead
        self.blocks.pop()
        self.emit("} else {")
        self.blocks.append(block)
        self.stack[block.height :] = block.params
        self.dead = False

    def close_block(self) -> None:
        block = self.blocks[-1]
        if block.op == "BODY":
            if not self.dead:
                count = len(block.type.results)
                self.give_back(self.stack[-count:] if count else [])
            self.blocks.pop()
            return
        self.leave_values()
        skips = block.op == "IF" and not block.has_else  # the condition may be false
        self.blocks.pop()
        if skips and block.type.results:  # its parameters are its results
            self.emit("} else {")
            for n, entry in enumerate(block.params):
                self.emit(f"    b{block.number}_{n} = {entry.text};")
        self.emit("}")
        if block.targeted and block.op != "LOOP":
            self.emit(f"L{block.number}:;")
        if block.op == "LOOP" and self.plan.fuel:
            self.open_charges.pop()
        del self.stack[block.height :]
        reached = not self.dead or skips or (block.targeted and block.op != "LOOP")
        self.stack += [_Entry(f"b{block.number}_{n}", kind) for n, kind in enumerate(block.type.results)]
        self.dead = not reached
        self.skipped = 0

    def control(self, instruction: Instruction) -> bool:  # noqa: C901 - one case per instruction
        match instruction.row.name:
            case "NOP":
                pass
            case "UNREACHABLE":
                self.emit("WN_TRAP(EE_TRAP_UNREACHABLE);")
                self.die()
            case "BLOCK" | "LOOP" | "IF":
                self.open_block(instruction)
            case "ELSE":
                self.otherwise()
            case "END":
                self.close_block()
            case "BR":
                self.branch(instruction.index)
                self.die()
            case "BR_IF":
                condition = self.pop()
                self.emit(f"if ({condition.text}) {{")
                self.blocks.append(_Block("IF", 0, FunctionType("", ""), 0))
                self.branch(instruction.index + 1)
                self.blocks.pop()
                self.emit("}")
            case "BR_TABLE":
                self.branch_table(instruction)
            case "RETURN":
                count = len(self.function.type.results)
                self.give_back(self.stack[-count:] if count else [])
                self.die()
            case "CALL":
                self.call(instruction.index)
            case "CALL_INDIRECT":
                self.call_indirect(instruction)
            case _:
                return False
        return True

    def tail_call(self, instruction: Instruction) -> bool:
        match instruction.row.name:
            case "RETURN_CALL":
                self.return_call(instruction.index)
            case "RETURN_CALL_INDIRECT":
                self.return_call_indirect(instruction)
            case _:
                return False
        return True

    def return_call(self, index: int) -> None:
        kind = self.module.functions[index].type
        if self.plan.is_native(index):
            texts = "".join(f", {entry.text}" for entry in self.pop_many(len(kind.params)))
            self.emit(f"__attribute__((musttail)) return {self.plan.prefix}f{index}(in{texts});")
        else:  # an import, which comes back
            self.call(index)
            self.give_back(self.stack[-len(kind.results) :] if kind.results else [])
        self.die()

    def return_call_indirect(self, instruction: Instruction) -> None:
        self.call_indirect(instruction, tail=True)
        results = self.function.type.results
        self.give_back(self.stack[-len(results) :] if results else [])
        self.die()

    def branch_table(self, instruction: Instruction) -> None:
        at = self.pop()
        self.settle()
        self.emit(f"switch ({at.text}) {{")
        cases: dict[int, list[int]] = {}
        for n, depth in enumerate(instruction.labels):
            if depth != instruction.index:
                cases.setdefault(depth, []).append(n)
        self.blocks.append(_Block("IF", 0, FunctionType("", ""), 0))
        for depth, numbers in cases.items():
            self.emit(" ".join(f"case {n}:" for n in numbers))
            self.branch(depth + 1)
        self.emit("default:")
        self.branch(instruction.index + 1)
        self.blocks.pop()
        self.emit("}")
        self.die()

    # Calls

    def take_results(self, call: str, results: str) -> None:
        if len(results) > 1:
            self.names += 1
            name = f"t{self.names}"
            self.emit(f"const {self.plan.result_type(results)} {name} = {call};")
            self.stack += [_Entry(f"{name}.r{n}", kind) for n, kind in enumerate(results)]
        elif results:
            self.push_named(call, results)
        else:
            self.emit(f"{call};")

    def fill_slots(self, values: list[_Entry], least: int = 0) -> None:
        texts: list[str] = []
        for entry in values:
            if entry.kind == "v":
                name = self.named(entry).text
                texts += [f"((ee_u64x2){name})[0]", f"((ee_u64x2){name})[1]"]
            else:
                texts.append(TO_SLOT[entry.kind].format(entry.text))
        self.slots = max(self.slots, 1, least, len(texts))
        for n, text in enumerate(texts):
            self.emit(f"s[{n}] = {text};")

    def results_from_slots(self, names: list[str], results: str) -> None:
        at = 0
        for name, kind in zip(names, results, strict=True):
            if kind == "v":
                self.emit(f"{name} = (ee_f64x2)(ee_u64x2){{s[{at}], s[{at + 1}]}};")
                at += 2
            else:
                self.emit(f"{name} = {FROM_SLOT[kind].format(f's[{at}]')};")
                at += 1

    def declare_results(self, results: str) -> list[str]:
        names = []
        for kind in results:
            self.names += 1
            names.append(f"t{self.names}")
            self.emit(f"{CTYPES[kind]} {names[-1]};")
        return names

    def through_engine(self, call: str, arguments: list[_Entry], names: list[str], results: str) -> None:
        self.emit("{")
        self.blocks.append(_Block("IF", 0, FunctionType("", ""), 0))
        self.fill_slots(arguments, _slots(results))
        self.emit(call)
        self.results_from_slots(names, results)
        self.blocks.pop()
        self.emit("}")

    def reload(self, grows: bool) -> None:
        if grows and self.module.has_memory:
            self.uses_memory = True
            self.emit(f"mem = {self.plan.base};")

    def call(self, index: int) -> None:
        self.calls = True
        kind = self.module.functions[index].type
        arguments = self.pop_many(len(kind.params))
        if self.plan.is_native(index):
            texts = "".join(f", {entry.text}" for entry in arguments)
            self.take_results(f"{self.plan.prefix}f{index}(in{texts})", kind.results)
        else:
            names = self.declare_results(kind.results)
            self.through_engine(f"in->helpers->call(in, {index}, s);", arguments, names, kind.results)
            self.stack += [_Entry(name, letter) for name, letter in zip(names, kind.results, strict=True)]
        self.reload(index in self.plan.may_grow)

    def call_indirect(self, instruction: Instruction, *, tail: bool = False) -> None:
        self.calls = True
        number = self.plan.canonical[instruction.index]
        kind = self.module.types[number]
        at = self.pop_named()
        arguments = [self.named(entry) for entry in self.pop_many(len(kind.params))]
        slow = f"in->helpers->call_indirect(in, {at.text}, {number}, {instruction.index2}, s);"
        names = self.declare_results(kind.results)
        table = "in->table" if instruction.index2 == 0 else f"in->tables[{instruction.index2}]"
        self.names += 1
        target = f"c{self.names}"
        self.emit(f"const void *{target} = wn_target(in, {table}, {at.text}, {number});")
        self.emit(f"if (__builtin_expect({target} != NULL, 1)) {{")
        self.blocks.append(_Block("IF", 0, FunctionType("", ""), 0))
        texts = "".join(f", {entry.text}" for entry in arguments)
        call = f"(({self.plan.pointer(kind)}){target})(in{texts})"
        if tail:
            self.emit(f"__attribute__((musttail)) return {call};")
        elif len(names) > 1:
            self.emit(f"const {self.plan.result_type(kind.results)} r = {call};")
            for n, name in enumerate(names):
                self.emit(f"{name} = r.r{n};")
        else:
            self.emit(f"{names[0]} = {call};" if names else f"{call};")
        self.blocks.pop()
        self.emit("} else")
        self.through_engine(slow, arguments, names, kind.results)
        self.stack += [_Entry(name, letter) for name, letter in zip(names, kind.results, strict=True)]
        self.reload(self.plan.indirect_may_grow)

    # Everything else

    def variable(self, instruction: Instruction) -> bool:
        index = instruction.index
        match instruction.row.name:
            case "LOCAL_GET":
                self.push(f"l{index}", self.kinds[index], frozenset({index}))
            case "LOCAL_SET":
                value = self.pop()
                self.forget_local(index)
                self.emit(f"l{index} = {value.text};")
            case "LOCAL_TEE":
                value = self.pop_named()
                self.forget_local(index)
                self.emit(f"l{index} = {value.text};")
                self.stack.append(value)
            case "GLOBAL_GET":
                kind = self.module.globals[index]
                self.push_named(f"*({CELL_TYPES[kind]} *)(void *){self.cell(index)}", kind)
            case "GLOBAL_SET":
                value = self.pop()
                kind = self.module.globals[index]
                self.emit(f"*(volatile {CELL_TYPES[kind]} *)(void *){self.cell(index)} = {value.text};")
            case _:
                return False
        return True

    def cell(self, index: int) -> str:
        imported = self.module.imported_globals
        return f"in->globals[{index}]->value" if index < imported else f"in->own_globals[{index - imported}].value"

    def parametric(self, instruction: Instruction) -> bool:  # noqa: C901 - one case per instruction
        match instruction.row.name:
            case "DROP":
                self.pop()
            case "SELECT" | "SELECT_T":
                condition, otherwise, value = self.pop(), self.pop(), self.pop()
                used = condition.locals | otherwise.locals | value.locals
                self.push(f"({condition.text} ? {value.text} : {otherwise.text})", value.kind, used)
            case "I32_CONST":
                self.push(f"UINT32_C({instruction.value:#x})", "i", atomic=True)
            case "I64_CONST":
                self.push(f"UINT64_C({instruction.value:#x})", "I", atomic=True)
            case "F32_CONST":
                self.push(f"ee_float32({instruction.value:#x}u)", "f", atomic=True)
            case "F64_CONST":
                self.push(f"ee_float64(UINT64_C({instruction.value:#x}))", "F", atomic=True)
            case "V128_CONST":
                low, high = (int.from_bytes(instruction.data[at : at + 8], "little") for at in (0, 8))
                self.push(f"((ee_f64x2)(ee_u64x2){{UINT64_C({low:#x}), UINT64_C({high:#x})}})", "v", atomic=True)
            case "REF_NULL":
                self.push("UINT64_C(0)", "r", atomic=True)
            case "REF_IS_NULL":
                value = self.pop()
                self.push(f"(uint32_t)({value.text} == 0)", "i", value.locals)
            case "REF_FUNC":
                self.push_named(f"in->helpers->ref_func(in, {instruction.index})", "r")
            case _:
                return False
        return True

    def address(self, entry: _Entry, offset: int) -> str:
        self.uses_memory = True
        return f"(uint64_t){entry.text} + UINT64_C({offset})" if offset else f"(uint64_t){entry.text}"

    def access(self, instruction: Instruction) -> bool:
        name = instruction.row.name
        if name in LOAD_ROWS:
            kind, access = LOAD_ROWS[name]
            where = self.address(self.pop(), instruction.value)
            self.push_named(f"({CTYPES[kind]})LOAD({access}, {where})", kind)
        elif name in STORE_ROWS:
            value, at = self.pop(), self.pop()
            self.emit(f"STORE({STORE_ROWS[name][1]}, {self.address(at, instruction.value)}, {value.text});")
        elif name == "MEMORY_SIZE":
            self.push_named(self.plan.pages, "i")
        elif name == "MEMORY_GROW":
            self.push_named(f"in->helpers->memory_grow(in, {self.pop().text})", "i")
            self.reload(grows=True)
        else:
            return False
        return True

    def operands(self, count: int, call: str) -> None:
        """Call a helper with operands in slots."""
        values = self.pop_many(count)
        self.emit("{")
        self.blocks.append(_Block("IF", 0, FunctionType("", ""), 0))
        self.fill_slots(values)
        self.emit(call)
        self.blocks.pop()
        self.emit("}")

    def bulk(self, instruction: Instruction) -> bool:
        name, index, index2 = instruction.row.name, instruction.index, instruction.index2
        if name in MEMORY_HELPERS:
            self.operands(3, f"in->helpers->{MEMORY_HELPERS[name]}(in, s);")
        elif name == "MEMORY_INIT":
            self.operands(3, f"in->helpers->memory_init(in, s, {index});")
        elif name in TABLE_HELPERS:
            second = f", {index2}" if name in {"TABLE_COPY", "TABLE_INIT"} else ""
            self.operands(TABLE_HELPERS[name], f"in->helpers->{name.lower()}(in, s, {index}{second});")
        elif name in {"DATA_DROP", "ELEM_DROP"}:
            self.emit(f"in->helpers->{name.lower()}(in, {index});")
        elif name == "TABLE_SIZE":
            self.push_named(f"in->tables[{index}]->size", "i")
        elif name == "TABLE_GET":
            [result] = self.declare_results(self.module.tables[index])
            self.operands(1, f"in->helpers->table_get(in, s, {index}); {result} = s[0];")
            self.stack.append(_Entry(result, "r"))
        elif name == "TABLE_GROW":
            [result] = self.declare_results("i")
            self.operands(2, f"{result} = in->helpers->table_grow(in, s, {index});")
            self.stack.append(_Entry(result, "i"))
        else:
            return False
        return True

    def compute(self, instruction: Instruction) -> bool:
        computation = computations().get(instruction.row.name)
        if computation is None:
            return False
        params, _, result = instruction.row.signature.partition(":")
        values = self.pop_many(len(params))
        for n, letter in enumerate("ab"[: len(values)]):
            if computation.check or _pieces(computation.value)[1::2].count(letter) > 1:
                values[n] = self.named(values[n])
        by_letter = dict(zip("ab", values, strict=False))

        def put(text: str) -> str:
            return "".join(by_letter[part].text if n % 2 else part for n, part in enumerate(_pieces(text)))

        if computation.check:
            self.emit(put(computation.check))
        text = put(computation.value)
        if result in "iI" and not KEEPS_TYPE.search(instruction.row.name):
            text = f"({CTYPES[result]}){text}"
        used = frozenset[int]().union(*(entry.locals for entry in values))
        self.push(text if _is_closed(text) else f"({text})", result, used)
        return True

    def vector(self, instruction: Instruction) -> bool:
        row = vectors().get(instruction.row.name)
        if row is None:
            return False
        params, _, result = instruction.row.signature.partition(":")
        values = [self.named(entry) for entry in self.pop_many(len(params))]
        rest = iter(values)
        immediates = {"i": f"UINT64_C({instruction.value})", "h": str(instruction.lane), "q": ""}
        texts = [next(rest).text if kind == "s" else immediates[kind] for kind in row.operands]
        lanes = ", ".join(str(byte) for byte in instruction.data)
        body = re.sub(r"pc\[\{\d+\} \+ n\]", f"((const uint8_t[16]){{{lanes}}})[n]", row.body)
        body = re.sub(r"\{(\d+)\}", lambda match: texts[int(match[1])], body)
        self.uses_memory = self.uses_memory or "mem + ea" in body
        if not result:
            self.emit(f"{{ {body} }}")
            return True
        [name] = self.declare_results(result)
        accumulator = {"v": "ee_f64x2 fa", "f": "float fresult", "F": "double dresult"}.get(result, "uint64_t acc")
        self.emit(f"{{ {accumulator}; {body} {name} = {ACCUMULATORS[result]}; }}")
        self.stack.append(_Entry(name, result))
        return True

    def step(self, instruction: Instruction) -> None:
        name = instruction.row.name
        self.count()
        if self.dead:
            if name in {"BLOCK", "LOOP", "IF"}:
                self.skipped += 1
                return
            if name == "END" and self.skipped:
                self.skipped -= 1
                return
            if name != "END" and (name != "ELSE" or self.skipped):
                return
        known = self.written_by.get(name)
        if known is not None:
            known(self, instruction)
            return
        kind = type(self)
        parts = (
            *(kind.control, kind.tail_call, kind.variable, kind.parametric),
            *(kind.access, kind.bulk, kind.compute, kind.vector),
        )
        for part in parts:
            if part(self, instruction):
                self.written_by[name] = part
                return
        raise RuntimeError(f"the native compiler does not know {instruction.row.text}")

    def write(self) -> str:
        function = self.function
        self.blocks.append(_Block("BODY", 0, FunctionType("", function.type.results), 0))
        self.charge()
        for instruction in instructions(self.module, function.begin, function.end):
            self.step(instruction)
        for line, units in self.charges:
            self.lines[line] = self.lines[line].replace("@", str(units))
        head = [f"{self.plan.prototype(function)}", "{"]
        if self.calls:
            head.append("    WN_STACK();")
        if self.uses_memory:
            head.append(f"    uint8_t *mem = {self.plan.base};")
        if self.slots:
            head.append(f"    uint64_t s[{self.slots}];")
        first = len(function.type.params)
        for n, kind in enumerate(function.locals, first):
            head.append(f"    {CTYPES[kind]} l{n} = {'{0}' if kind == 'v' else '0'};")
        return "\n".join([*head, *self.lines, "}"])


def _trampoline(plan: _Plan, number: int) -> str:
    kind = plan.module.types[number]
    at = 0
    arguments = ""
    for letter in kind.params:
        if letter == "v":
            arguments += f", (ee_f64x2)(ee_u64x2){{s[{at}], s[{at + 1}]}}"
        else:
            arguments += ", " + FROM_SLOT[letter].format(f"s[{at}]")
        at += _slots(letter)
    call = f"(({plan.pointer(kind)})f)(in{arguments})"
    lines = [f"void {plan.prefix}e{number}(struct ee_instance *in, const void *f, uint64_t *s)", "{"]
    if kind.results:
        lines.append(f"    const {plan.result_type(kind.results)} r = {call};")
    else:
        lines.append(f"    {call};")
    at = 0
    for n, letter in enumerate(kind.results):
        value = "r" if len(kind.results) == 1 else f"r.r{n}"
        if letter == "v":
            lines.append(f"    s[{at}] = ((ee_u64x2){value})[0]; s[{at + 1}] = ((ee_u64x2){value})[1];")
        else:
            lines.append(f"    s[{at}] = {TO_SLOT[letter].format(value)};")
        at += _slots(letter)
    return "\n".join([*lines, "}"])


def generate(module: ModuleReader, *, fuel: bool = False, prefix: str = "") -> Generated:
    """Write a module's functions; ``prefix`` comes before their names."""
    plan = _Plan(module, fuel=fuel, prefix=prefix)
    functions = [function for function in module.functions if plan.is_native(function.index)]
    used = sorted({plan.canonical[function.type_index] for function in functions})
    results = {kind.results for kind in module.types if len(kind.results) > 1}
    prelude = ['#include "generated.h"', ""]
    for letters in sorted(results):
        fields = " ".join(f"{CTYPES[kind]} r{n};" for n, kind in enumerate(letters))
        prelude.append(f"struct {prefix}results_{letters} {{ {fields} }};")
    prelude += [f"{plan.prototype(function)};" for function in functions]
    prelude += [f"void {plan.prefix}e{number}(struct ee_instance *in, const void *f, uint64_t *s);" for number in used]
    top = "\n".join(prelude)
    parts: list[list[str]] = [[_trampoline(plan, number) for number in used]]
    size = 0
    for function in functions:
        text = _Writer(plan, function).write()
        if size > PART_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(text)
        size += function.end - function.begin
    return Generated(
        tuple("\n\n".join([top, *part]) + "\n" for part in parts),
        tuple(function.index for function in functions),
        plan.refused,
        {function.index: plan.canonical[function.type_index] for function in functions},
    )
