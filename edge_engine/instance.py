# SPDX-License-Identifier: Apache-2.0
"""Instances of modules: linking, typed calls, host functions, memory, limits.

An instance lives in an arena of fixed size that is mapped for it and given back when the instance is closed or
forgotten. It keeps alive what its imports refer to. One thread at a time may use an instance.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from edge_engine.errors import EngineError, MisuseError, Trap, UnlinkableModule
from edge_engine.native import native, raise_error
from edge_engine.values import FunctionType, Value, ValueType, from_slots, slot_count, to_slots

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge_engine.module import Module

__all__ = ["Export", "HostFunction", "Import", "Instance", "Limits", "Memory", "Usage"]

BACKTRACE_SIZE = 16384  # bytes
PAGE = 4096


@dataclass(frozen=True)
class Limits:
    """What an instance may use."""

    arena_size: int = 8 << 20  # bytes, rounded up to 4 KiB: everything the instance ever has
    stack_size: int = 0  # bytes of the arena for call frames; 0: a part of what is free, 4 to 64 KiB
    max_pages: int = 0  # ceiling for memory.grow, pages of 64 KiB; 0: what fits
    fuel: int | None = None  # instructions; None: not counted
    native_stack_size: int = 1 << 20  # bytes of the thread's stack for native code; 0: native sections are ignored


@dataclass(frozen=True)
class Usage:
    """Bytes of arena in use."""

    bookkeeping_bytes: int
    memory_bytes: int
    code_bytes: int
    stack_bytes: int


@dataclass(frozen=True)
class HostFunction:
    """A Python function for an import.

    It takes the parameters' values and returns the result's value, None for no result, or a sequence for several. A
    Trap that it raises ends the call with that trap; any other exception ends it and is raised again from the call.
    ``params``/``results`` None accept whatever type the module declares.
    """

    function: Callable[..., Any]
    params: tuple[ValueType, ...] | None = None
    results: tuple[ValueType, ...] | None = None


@dataclass(frozen=True)
class Export:
    """A thing that an instance exports, to be given as an import to another."""

    instance: Instance
    kind: str  # func, table, memory or global
    index: int


Import = HostFunction | Export


def _types(pointer: Any, count: int) -> tuple[ValueType, ...]:
    return tuple(ValueType(pointer[i]) for i in range(count))


def _name(name: Any) -> str:
    return bytes(native().ffi.buffer(name.bytes, name.size)).decode() if name.size else ""


class Memory:
    """Linear memory 0 of an instance. Reads and writes are checked against its current size."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    @property
    def size(self) -> int:
        """Bytes."""
        size = native().ffi.new("uint64_t *")
        native().lib.ee_memory(self._instance.handle, size)
        return int(size[0])

    def _at(self, address: int, size: int) -> Any:
        if address < 0 or size < 0:
            raise MisuseError("addresses and sizes are not negative")
        found = native().lib.ee_memory_at(self._instance.handle, address, size)
        if found == native().ffi.NULL:
            raise MisuseError(f"{size} bytes at {address} are outside of the memory's {self.size} bytes")
        return found

    def read(self, address: int, size: int) -> bytes:
        """Copy of ``size`` bytes; MisuseError outside of the memory."""
        return bytes(native().ffi.buffer(self._at(address, size), size)) if size else b""

    def write(self, address: int, data: bytes) -> None:
        """Store bytes; MisuseError outside of the memory."""
        if data:
            native().ffi.memmove(self._at(address, len(data)), data, len(data))


class Instance:
    """A module in its arena, linked. ``start`` must be called before the first call."""

    def __init__(
        self,
        module: Module,
        imports: Mapping[tuple[str, str], Import] | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        of = native()
        limits = limits or Limits()
        self.module = module
        self._imports = dict(imports or {})
        self._hosts: list[Any] = []  # handles that the engine's pointers refer to
        self._pending: BaseException | None = None  # raised by a host function during the current call
        self._data = of.ffi.from_buffer(module.data)
        size = -(-limits.arena_size // PAGE) * PAGE
        arena = of.lib.ee_guard_map(size)
        if arena == of.ffi.NULL:
            raise MemoryError(f"no address space for an arena of {size} bytes and its guard")
        self._close = weakref.finalize(self, of.lib.ee_guard_unmap, arena, size)
        self._self = of.ffi.new_handle(self)
        config = of.ffi.new("struct ee_config *")
        config.arena = arena
        config.arena_size = size
        config.stack_size = limits.stack_size
        config.max_pages = limits.max_pages
        config.metered = limits.fuel is not None
        config.fuel = limits.fuel or 0
        config.resolver = _resolver()
        config.resolver_context = self._self
        out = of.ffi.new("struct ee_instance **")
        error = of.ffi.new("struct ee_error *")
        status = of.lib.ee_load(self._data, len(module.data), config, out, error)
        if self._pending is not None:
            pending, self._pending = self._pending, None
            raise pending
        if status:
            raise_error(status, error)
        self.handle = out[0]
        self.native_refusal: str | None = None  # why native code that the module has isn't used
        if limits.native_stack_size and of.lib.ee_guard_native(self.handle, limits.native_stack_size, error):
            self.native_refusal = bytes(of.ffi.string(error.text)).decode()
        self.exports = self._read_exports()
        self.memory = Memory(self)

    def close(self) -> None:
        """Give the arena back. Nothing may use the instance, or what it exported, afterwards."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _read_exports(self) -> dict[str, Export]:
        of = native()
        exports: dict[str, Export] = {}
        name, kind = of.ffi.new("struct ee_name *"), of.ffi.new("enum ee_extern_kind *")
        index = of.ffi.new("uint32_t *")
        while of.lib.ee_inspect_export(self.handle, len(exports), name, kind, index):
            word = of.kinds[int(kind[0])].removeprefix("EE_EXTERN_").lower()
            exports[_name(name)] = Export(self, word, int(index[0]))
        return exports

    def start(self) -> None:
        """Copy active segments and run the start function, once; Trap if that fails."""
        error = native().ffi.new("struct ee_error *")
        self._check(native().lib.ee_guard_start(self.handle, error), error)

    def _check(self, status: int, error: Any = None) -> None:
        pending, self._pending = self._pending, None
        if pending is not None and status:
            raise pending
        if not status:
            return
        if native().statuses[status] == "EE_TRAPPED":
            raise self.trap()
        if error is None:
            raise MisuseError(f"the engine refused the call: {native().statuses[status]}")
        raise_error(status, error)

    def trap(self) -> Trap:
        """Describe the trap that ended the last call, with its backtrace."""
        of = native()
        number = int(of.lib.ee_instance_trap(self.handle))
        if of.traps[number] == "EE_TRAP_NONE":
            raise MisuseError("the last call did not trap")
        text = of.ffi.new("char[]", BACKTRACE_SIZE)
        of.lib.ee_backtrace(self.handle, text, BACKTRACE_SIZE)
        backtrace = bytes(of.ffi.string(text)).decode("utf-8", "replace")
        return Trap(of.trap_kind(number), of.trap_text(number), backtrace)

    def _export(self, name: str, kind: str) -> Export:
        export = self.exports.get(name)
        if export is None or export.kind != kind:
            raise MisuseError(f"no exported {kind} named {name!r}")
        return export

    def function_type(self, index: int) -> FunctionType:
        """Parameters and results of a function by its index."""
        request = native().ffi.new("struct ee_import_request *")
        if not native().lib.ee_inspect_function(self.handle, index, request):
            raise MisuseError(f"no function {index}")
        return _types(request.params, request.param_count), _types(request.results, request.result_count)

    def call(self, name: str, *arguments: Value) -> Any:
        """Call an exported function: None, its result, or a tuple of several. Raises Trap."""
        index = self._export(name, "func").index
        params, results = self.function_type(index)
        values = from_slots(results, self.call_slots(index, to_slots(params, arguments), slot_count(results)))
        return values[0] if len(values) == 1 else tuple(values) if values else None

    def call_slots(self, index: int, arguments: Sequence[int], result_slots: int) -> list[int]:
        """Call a function by its index, with raw slots: the bits of numbers are neither read nor changed."""
        of = native()
        given = of.ffi.new("uint64_t[]", list(arguments) or [0])
        results = of.ffi.new("uint64_t[]", max(result_slots, 1))
        self._check(of.lib.ee_guard_call(self.handle, index, given, len(arguments), results, result_slots))
        return [int(results[i]) for i in range(result_slots)]

    def global_slots(self, name: str) -> tuple[ValueType, list[int]]:
        """Type and raw slots of an exported global."""
        kind, value = native().ffi.new("uint8_t *"), native().ffi.new("uint64_t[2]")
        if not native().lib.ee_inspect_global(self.handle, self._export(name, "global").index, kind, value):
            raise MisuseError(f"no global {name!r}")
        found = ValueType(kind[0])
        return found, [int(value[0]), int(value[1])][: slot_count([found])]

    def global_value(self, name: str) -> Value:
        """Value of an exported global."""
        kind, slots = self.global_slots(name)
        return from_slots([kind], slots)[0]

    @property
    def fuel(self) -> int:
        """Instructions left, for an instance with a fuel limit."""
        return int(native().lib.ee_fuel(self.handle))

    @fuel.setter
    def fuel(self, instructions: int) -> None:
        native().lib.ee_set_fuel(self.handle, instructions)

    @property
    def usage(self) -> Usage:
        """Bytes of arena in use."""
        usage = native().ffi.new("struct ee_usage *")
        native().lib.ee_instance_usage(self.handle, usage)
        return Usage(usage.bookkeeping_bytes, usage.memory_bytes, usage.code_bytes, usage.stack_bytes)

    # Called by the engine, through _resolver and _host_entry.

    def resolve(self, request: Any, out: Any) -> bool:
        """Find one import; fills ``struct ee_import *out``."""
        of = native()
        key = (_name(request.module), _name(request.field))
        wanted = of.kinds[int(request.kind)].removeprefix("EE_EXTERN_").lower()
        found = self._imports.get(key)
        if isinstance(found, Export):
            if found.kind != wanted:
                raise UnlinkableModule(
                    f'incompatible import type: "{key[0]}"."{key[1]}": expected a {wanted}, found a {found.kind}'
                )
            out.function = of.ffi.NULL
            out.instance = found.instance.handle
            out.index = found.index
            return True
        if not isinstance(found, HostFunction):
            return False
        params = _types(request.params, request.param_count) if wanted == "func" else ()
        results = _types(request.results, request.result_count) if wanted == "func" else ()
        if wanted != "func" or found.params not in {None, params} or found.results not in {None, results}:
            raise UnlinkableModule(f'incompatible import type: "{key[0]}"."{key[1]}": the host has another type')
        binding = _Binding(self, found.function, params, results)
        handle = of.ffi.new_handle(binding)
        self._hosts.append(handle)
        out.function = _host_entry()
        out.context = handle
        return True

    def keep(self, exception: BaseException) -> None:
        """Remember an exception that has to cross the engine's frames."""
        self._pending = exception


class _Binding:
    """A host function as one instance imports it."""

    def __init__(
        self,
        owner: Instance,
        function: Callable[..., Any],
        params: tuple[ValueType, ...],
        results: tuple[ValueType, ...],
    ) -> None:
        self.owner = weakref.ref(owner)
        self.function = function
        self.params = params
        self.results = results

    def enter(self, arguments: Any, results: Any) -> int:
        """Run the function between two sets of slots; returns an ``enum ee_trap``."""
        slots = [int(arguments[i]) for i in range(slot_count(self.params))]
        value = self.function(*from_slots(self.params, slots))
        values = () if not self.results else (value,) if len(self.results) == 1 else tuple(value)
        for i, slot in enumerate(to_slots(self.results, values)):
            results[i] = slot
        return 0


_callbacks: dict[str, Any] = {}  # callbacks live as long as the process


def _resolver() -> Any:
    of = native()
    if "resolver" not in _callbacks:

        def resolve(context: Any, request: Any, out: Any) -> bool:
            instance: Instance = of.ffi.from_handle(context)
            try:
                return instance.resolve(request, out)
            except EngineError as problem:
                instance.keep(problem)
                return False

        _callbacks["resolver"] = of.ffi.callback(
            "bool(void *, const struct ee_import_request *, struct ee_import *)", resolve, error=False
        )
    return _callbacks["resolver"]


def _host_entry() -> Any:
    of = native()
    if "host" not in _callbacks:
        host_error = of.trap_numbers["EE_TRAP_HOST"]

        def enter(_instance: Any, context: Any, arguments: Any, results: Any) -> int:
            binding: _Binding = of.ffi.from_handle(context)
            owner = binding.owner()
            try:
                return binding.enter(arguments, results)
            except Trap as trap:
                return of.trap_numbers[f"EE_TRAP_{trap.kind.value}"]
            except BaseException as problem:  # noqa: BLE001 - kept, and raised from the call that led here
                if owner is not None:
                    owner.keep(problem)
                return host_error

        _callbacks["host"] = of.ffi.callback(
            "enum ee_trap(struct ee_instance *, void *, const uint64_t *, uint64_t *)", enter, error=host_error
        )
    return _callbacks["host"]
