# SPDX-License-Identifier: Apache-2.0
"""What a module contains, and the arena it needs, found by the engine's own code.

Contract: bytes in, a frozen description out; the module is decoded, validated, loaded and translated, never run.
Raises what ``Module`` raises for bytes that are no valid module.

The need is exact for this engine: with ``load_bytes`` of arena a module loads, with 4 KiB less it is refused; with
``run_bytes`` no function lacks room for its translation, in whatever order they are first called, as long as neither
memory nor tables grow. It counts the interpreter; functions with native code need less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_engine.errors import ArenaTooSmall, UnlinkableModule
from edge_engine.module import SCRATCH_LEAST, SCRATCH_PER_BYTE
from edge_engine.native import native, raise_error
from edge_engine.values import ValueType

if TYPE_CHECKING:
    from edge_engine.native import Native

__all__ = ["ExportEntry", "ImportEntry", "Inspection", "LimitsType", "Requirements", "inspect_module"]

GREATEST_MEMORY = 1 << 30  # bytes of linear memory that are mapped to find out
TRANSLATION_PER_BYTE = 32  # bytes of arena per byte of module that translating everything can take, generously


@dataclass(frozen=True)
class LimitsType:
    """A memory or table: sizes in pages or elements; ``maximum`` None if it declares none."""

    minimum: int
    maximum: int | None
    page_size: int | None = None  # bytes; memories
    element: str | None = None  # tables
    imported: bool = False


@dataclass(frozen=True)
class ImportEntry:
    """One import; ``type`` as the text format writes it."""

    module: str
    name: str
    kind: str
    type: str


@dataclass(frozen=True)
class ExportEntry:
    """One export; ``type`` as the text format writes it."""

    name: str
    kind: str
    type: str


@dataclass(frozen=True)
class Requirements:
    """Bytes of arena; the first two are multiples of 4 KiB and contain the others."""

    load_bytes: int  # the least with which the module loads
    run_bytes: int  # enough for every function translated, memory at its minimum
    memory_bytes: int
    code_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class Inspection:
    """A valid module.

    ``requirements`` None: it imports something else than functions, or has a gigabyte of memory; ``reason`` tells.
    """

    functions: int
    globals: int
    imports: tuple[ImportEntry, ...]
    exports: tuple[ExportEntry, ...]
    memories: tuple[LimitsType, ...]
    tables: tuple[LimitsType, ...]
    requirements: Requirements | None
    reason: str | None = None


def _name(of: Native, name: Any) -> str:
    return bytes(of.ffi.buffer(name.bytes, name.size)).decode() if name.size else ""


def _limits(thing: Any) -> str:
    return f"{thing.min} {thing.max}" if thing.has_max else f"{thing.min}"


def _type(kind: str, thing: Any) -> str:
    """Write a type as the text format does."""
    if kind == "func":
        parts = [
            " ".join([word, *(ValueType(types[i]).name.lower() for i in range(count))])
            for word, types, count in (
                ("param", thing.params, thing.param_count),
                ("result", thing.results, thing.result_count),
            )
            if count
        ]
        return " ".join(f"({part})" for part in parts)
    if kind == "memory":
        own = f" (pagesize {thing.page_bytes})" if thing.page_bytes != 1 << 16 else ""
        return _limits(thing) + own
    element = ValueType(thing.type).name.lower()
    if kind == "table":
        return f"{_limits(thing)} {element}"
    return f"(mut {element})" if thing.is_mutable else element


class _Reader:
    """Walks a checked module's tables."""

    def __init__(self, of: Native, module: Any) -> None:
        self.of = of
        self.module = module
        self.thing = of.ffi.new("struct ee_described *")
        self.kind_names = {
            number: name.removeprefix("EE_EXTERN_").lower().replace("function", "func")
            for number, name in of.kinds.items()
        }
        self.kind_numbers = {name: number for number, name in self.kind_names.items()}

    def imports(self) -> tuple[ImportEntry, ...]:
        entries: list[ImportEntry] = []
        while self.of.lib.ee_inspect_import(self.module, len(entries), self.thing):
            kind = self.kind_names[int(self.thing.kind)]
            entries.append(
                ImportEntry(
                    _name(self.of, self.thing.module),
                    _name(self.of, self.thing.field),
                    kind,
                    _type(kind, self.thing),
                )
            )
        return tuple(entries)

    def exports(self) -> tuple[ExportEntry, ...]:
        entries: list[ExportEntry] = []
        name, kind = self.of.ffi.new("struct ee_name *"), self.of.ffi.new("enum ee_extern_kind *")
        index = self.of.ffi.new("uint32_t *")
        while self.of.lib.ee_inspect_module_export(self.module, len(entries), name, kind, index):
            self.of.lib.ee_inspect_thing(self.module, kind[0], index[0], self.thing)
            word = self.kind_names[int(kind[0])]
            entries.append(ExportEntry(_name(self.of, name), word, _type(word, self.thing)))
        return tuple(entries)

    def spaces(self, kind: str, imported: int) -> tuple[LimitsType, ...]:
        """Memories or tables; the first ``imported`` ones come from outside."""
        found: list[LimitsType] = []
        while self.of.lib.ee_inspect_thing(self.module, self.kind_numbers[kind], len(found), self.thing):
            thing = self.thing
            found.append(
                LimitsType(
                    int(thing.min),
                    int(thing.max) if thing.has_max else None,
                    int(thing.page_bytes) if kind == "memory" else None,
                    ValueType(thing.type).name.lower() if kind == "table" else None,
                    imported=len(found) < imported,
                )
            )
        return tuple(found)


def _requirements(of: Native, data: bytes, memory_bytes: int, stack_size: int, *, metered: bool) -> Requirements:
    if memory_bytes > GREATEST_MEMORY:
        raise ArenaTooSmall(f"more than {memory_bytes} bytes, its linear memory alone; not tried")
    size = memory_bytes + SCRATCH_LEAST + stack_size + (SCRATCH_PER_BYTE + TRANSLATION_PER_BYTE) * len(data)
    error = of.ffi.new("struct ee_error *")
    config = of.ffi.new("struct ee_config *")
    found = of.ffi.new("struct ee_requirements *")
    config.arena_size = -(-size // 4096) * 4096
    config.arena = of.lib.ee_guard_map(config.arena_size)
    if config.arena == of.ffi.NULL:
        raise MemoryError(f"no address space for an arena of {config.arena_size} bytes")
    config.stack_size = stack_size
    config.metered = metered
    try:
        status = of.lib.ee_find_requirements(of.ffi.from_buffer(data), len(data), config, found, error)
    finally:
        of.lib.ee_guard_unmap(config.arena, config.arena_size)
    if status:
        raise_error(status, error)
    return Requirements(found.load_bytes, found.run_bytes, found.memory_bytes, found.code_bytes, found.stack_bytes)


def inspect_module(data: bytes, *, stack_size: int = 0, metered: bool = False) -> Inspection:
    """Describe a module.

    Args:
        data: the file's bytes.
        stack_size: bytes of arena for call frames; 0: a part of what is free, 4 to 64 KiB.
        metered: whether it is to run with a fuel limit, which takes some code.

    Raises:
        MalformedModule, InvalidModule, UnsupportedModule: the module's fault, with the place.

    """
    of = native()
    size = SCRATCH_LEAST + SCRATCH_PER_BYTE * len(data)
    arena = of.ffi.new("uint8_t[]", size)
    error, check = of.ffi.new("struct ee_error *"), of.ffi.new("struct ee_check *")
    buffer = of.ffi.from_buffer(data)
    status = of.lib.ee_check_module(buffer, len(data), arena, size, check, error)
    if status:
        raise_error(status, error)
    reader = _Reader(of, check.module)
    imports = reader.imports()
    kinds = [entry.kind for entry in imports]
    memories = reader.spaces("memory", kinds.count("memory"))
    memory_bytes = sum(item.minimum * (item.page_size or 0) for item in memories if not item.imported)
    requirements = reason = None
    try:
        requirements = _requirements(of, data, memory_bytes, stack_size, metered=metered)
    except (UnlinkableModule, ArenaTooSmall) as problem:
        reason = str(problem)
    return Inspection(
        functions=int(check.functions),
        globals=int(check.globals),
        imports=imports,
        exports=reader.exports(),
        memories=memories,
        tables=reader.spaces("table", kinds.count("table")),
        requirements=requirements,
        reason=reason,
    )
