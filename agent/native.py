# SPDX-License-Identifier: Apache-2.0
"""Native code for a device that runs it, added on the way there: the interpreter is for modules that have none.

The compiler is a part that may be missing here (entry-point group `wasel.compilers`); then modules go as they are, and
so do signed ones, whose bytes are vouched for: compile first, then sign. The same module always becomes the same bytes.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from agent.errors import RefusedError, WaselError
from agent.module_file import SIGNATURE_SECTION, custom_section

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["with_native_code"]

GROUP = "wasel.compilers"


def with_native_code(
    name: str,
    data: bytes,
    machine: str,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    *,
    fuel: bool = False,
) -> bytes:
    """Return the module with native code for `machine` ("": none is wanted), or as it is where that cannot be.

    `progress` hears how many parts of how many are compiled; with `fuel` the code counts it. A compiler that fails is
    noted on stderr: the module runs interpreted. An invalid module is left for the device to refuse, in its words.
    """
    compiler = _compiler() if machine else None
    if compiler is None:
        return data
    try:
        if custom_section(data, f"wasel.native.{machine}") or custom_section(data, SIGNATURE_SECTION):
            return data
        return compiler(data, machine, progress, fuel=fuel)
    except RefusedError:
        return data
    except WaselError as error:
        print(f"wasel: {name}: runs interpreted: {error}", file=sys.stderr)
        return data


class _Compiler(Protocol):
    def __call__(self, data: bytes, machine: str, progress: Callable[[int, int], None], *, fuel: bool) -> bytes:
        """Return the module with native code. RefusedError, WaselError."""


def _compiler() -> _Compiler | None:
    for entry in entry_points(group=GROUP, name="native"):
        try:
            compiler: _Compiler = entry.load()
        except ImportError:
            continue
        return compiler
    return None
