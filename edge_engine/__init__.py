# SPDX-License-Identifier: Apache-2.0
"""The WebAssembly engine: its C sources, their build, and a Python binding to it.

>>> module = Module(data)
>>> with Instance(module, {("env", "log"): HostFunction(print)}, limits=Limits(arena_size=1 << 20)) as instance:
...     instance.start()
...     instance.call("add", 1, 2)

The binding loads its C library when it is first used and builds it if need be (``edge_engine.build``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_engine.errors import (
        ArenaTooSmall,
        EngineError,
        InvalidModule,
        MalformedModule,
        MisuseError,
        ModuleError,
        Trap,
        TrapKind,
        UnlinkableModule,
        UnsupportedModule,
    )
    from edge_engine.instance import Export, HostFunction, Import, Instance, Limits, Memory, Usage
    from edge_engine.module import Module, ModuleSummary
    from edge_engine.values import FunctionType, Value, ValueType

__all__ = [
    "ArenaTooSmall",
    "EngineError",
    "Export",
    "FunctionType",
    "HostFunction",
    "Import",
    "Instance",
    "InvalidModule",
    "Limits",
    "MalformedModule",
    "Memory",
    "MisuseError",
    "Module",
    "ModuleError",
    "ModuleSummary",
    "Trap",
    "TrapKind",
    "UnlinkableModule",
    "UnsupportedModule",
    "Usage",
    "Value",
    "ValueType",
]

_HOMES = ("errors", "instance", "module", "values")


def __getattr__(name: str) -> Any:
    """Find public names in their modules on first use: the builders import this package without cffi."""
    if name in __all__:
        from importlib import import_module  # noqa: PLC0415

        for home in _HOMES:
            module = import_module(f"edge_engine.{home}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
