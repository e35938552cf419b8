# SPDX-License-Identifier: Apache-2.0
"""A module: bytes that have been decoded and validated."""

from __future__ import annotations

from dataclasses import dataclass

from edge_engine.native import native, raise_error

__all__ = ["Module", "ModuleSummary"]

SCRATCH_PER_BYTE = 24  # bytes of arena that decoding and validating a byte of module can take, generously
SCRATCH_LEAST = 1 << 20


@dataclass(frozen=True)
class ModuleSummary:
    """How much of everything a module has; byte counts are of arena."""

    functions: int
    imports: int
    exports: int
    tables: int
    memories: int
    globals: int
    decoded_bytes: int  # kept after decoding
    peak_bytes: int  # most in use while decoding and validating


class Module:
    """A valid module.

    Raises MalformedModule, InvalidModule or UnsupportedModule, each with the place. Instantiating decodes again, from
    the same bytes: the engine keeps nothing outside of an instance's arena.
    """

    def __init__(self, data: bytes, *, scratch_size: int | None = None) -> None:
        of = native()
        self.data = bytes(data)
        size = scratch_size if scratch_size is not None else SCRATCH_LEAST + SCRATCH_PER_BYTE * len(self.data)
        arena = of.ffi.new("uint8_t[]", size)
        error = of.ffi.new("struct ee_error *")
        check = of.ffi.new("struct ee_check *")
        # from_buffer keeps the bytes in place and alive during the call
        status = of.lib.ee_check_module(of.ffi.from_buffer(self.data), len(self.data), arena, size, check, error)
        if status:
            raise_error(status, error)
        self.summary = ModuleSummary(
            check.functions,
            check.imports,
            check.exports,
            check.tables,
            check.memories,
            check.globals,
            check.decoded_bytes,
            check.peak_bytes,
        )
