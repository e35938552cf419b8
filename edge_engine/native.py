# SPDX-License-Identifier: Apache-2.0
"""The engine's shared library, loaded with cffi in ABI mode.

Which library that is, and when it is built: ``edge_engine.library``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from cffi import FFI

from edge_engine import errors
from edge_engine.library import HostLibrary, host_library

__all__ = ["STATUS_ERRORS", "Native", "native", "raise_error"]

NO_INDEX = 0xFFFFFFFF

STATUS_ERRORS = {
    "EE_MALFORMED": errors.MalformedModule,
    "EE_INVALID": errors.InvalidModule,
    "EE_UNSUPPORTED": errors.UnsupportedModule,
    "EE_UNLINKABLE": errors.UnlinkableModule,
}


class Native:
    """The library (``lib``), its declarations (``ffi``) and names of its enumerations."""

    def __init__(self, host: HostLibrary) -> None:
        self.ffi: Any = FFI()  # C structures have no static types
        self.ffi.cdef(host.declarations.read_text())
        self.lib: Any = self.ffi.dlopen(str(host.library))
        # In ABI mode the results of functions are plain integers or names, depending on their declared type.
        self.statuses: dict[int, str] = dict(self.ffi.typeof("enum ee_status").elements)
        self.traps: dict[int, str] = dict(self.ffi.typeof("enum ee_trap").elements)
        self.kinds: dict[int, str] = dict(self.ffi.typeof("enum ee_extern_kind").elements)
        self.trap_numbers = {name: number for number, name in self.traps.items()}

    def trap_kind(self, number: int) -> errors.TrapKind:
        """Kind of a trap that is not NONE."""
        return errors.TrapKind[self.traps[number].removeprefix("EE_TRAP_")]

    def trap_text(self, number: int) -> str:
        """Text of a trap, as in the specification's test scripts."""
        return bytes(self.ffi.string(self.lib.ee_trap_text(number))).decode()


@cache
def native() -> Native:
    """Load the library once per process."""
    return Native(host_library())


def raise_error(status: int, error: Any) -> None:
    """Raise what a failed load or start means. ``error`` is a ``struct ee_error *``; a trap is not for here."""
    of = native()
    text = bytes(of.ffi.string(error.text)).decode("utf-8", "replace")
    name = of.statuses[status]
    if name == "EE_NO_MEMORY":
        raise errors.ArenaTooSmall(text)
    if name == "EE_MISUSE":
        raise errors.MisuseError(text)
    raise STATUS_ERRORS[name](
        text,
        offset=None if error.offset == NO_INDEX else error.offset,
        function=None if error.function == NO_INDEX else error.function,
    )
