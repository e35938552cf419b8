# SPDX-License-Identifier: Apache-2.0
"""What the engine's Python binding raises.

::

    EngineError
    ├── ModuleError          the module's fault; has offset and function where known
    │   ├── MalformedModule    the bytes are not a module
    │   ├── InvalidModule      it does not validate
    │   ├── UnsupportedModule  it uses something that this engine lacks; the text names it
    │   └── UnlinkableModule   an import nobody provides, or of another type
    ├── ArenaTooSmall        the caller gave too little memory; the text says how much is needed where that is known
    ├── Trap                 execution ended; has kind, and the backtrace
    └── MisuseError          the caller's mistake: no such export, wrong number or type of arguments
"""

# ruff: noqa: N818 - names say whose fault it is; the base classes end in Error

from __future__ import annotations

from enum import Enum

__all__ = [
    "ArenaTooSmall",
    "EngineError",
    "InvalidModule",
    "MalformedModule",
    "MisuseError",
    "ModuleError",
    "Trap",
    "TrapKind",
    "UnlinkableModule",
    "UnsupportedModule",
]


class TrapKind(Enum):
    """Why execution ended; the values are the names of ``enum ee_trap`` without their prefix."""

    UNREACHABLE = "UNREACHABLE"
    OOB_MEMORY = "OOB_MEMORY"
    OOB_TABLE = "OOB_TABLE"
    UNDEFINED_ELEMENT = "UNDEFINED_ELEMENT"
    UNINITIALIZED_ELEMENT = "UNINITIALIZED_ELEMENT"
    INDIRECT_TYPE = "INDIRECT_TYPE"
    DIV_BY_ZERO = "DIV_BY_ZERO"
    INT_OVERFLOW = "INT_OVERFLOW"
    INVALID_CONVERSION = "INVALID_CONVERSION"
    STACK_EXHAUSTED = "STACK_EXHAUSTED"
    NO_MEMORY = "NO_MEMORY"
    FUEL_EXHAUSTED = "FUEL_EXHAUSTED"
    INTERRUPTED = "INTERRUPTED"
    EXIT = "EXIT"
    HOST = "HOST"


class EngineError(Exception):
    """Base of everything this package raises about modules and their execution."""


class ModuleError(EngineError):
    """The module is refused. ``offset`` counts bytes from its start, ``function`` is an index; None if unknown."""

    def __init__(self, text: str, *, offset: int | None = None, function: int | None = None) -> None:
        self.text = text
        self.offset = offset
        self.function = function
        place = [f"at byte {offset:#x}"] if offset is not None else []
        place += [f"in function {function}"] if function is not None else []
        super().__init__(f"{text} ({', '.join(place)})" if place else text)


class MalformedModule(ModuleError):
    """The bytes are not a module: get an undamaged file."""


class InvalidModule(ModuleError):
    """The module does not validate: the compiler that made it is at fault."""


class UnsupportedModule(ModuleError):
    """The module needs a feature or size that this engine lacks: compile it without."""


class UnlinkableModule(ModuleError):
    """An import is missing or of another type: provide it."""


class ArenaTooSmall(EngineError):
    """Give a greater ``arena_size``."""


class Trap(EngineError):
    """Execution ended before its end. ``backtrace`` has one frame a line, innermost first."""

    def __init__(self, kind: TrapKind, text: str, backtrace: str = "") -> None:
        self.kind = kind
        self.text = text
        self.backtrace = backtrace
        super().__init__(text if not backtrace else f"{text}\n{backtrace.rstrip()}")


class MisuseError(EngineError):
    """The calling program is wrong, not the module."""
