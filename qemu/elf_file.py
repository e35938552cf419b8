# SPDX-License-Identifier: Apache-2.0
"""Read a protection domain's program: an AArch64 ELF executable, its loadable segments and its symbols.

Contract: ``read_elf`` checks everything it uses against the file's length and raises ElfError with the file's name;
``Elf.patch`` writes a variable into the segment that holds it, uninitialised data included. Source: System V ABI,
"Object Files" and "Program Loading".
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qemu.system_file import PAGE, ImageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Elf", "ElfError", "Segment", "read_elf"]

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_PROGRAM = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_AARCH64, _EXECUTABLE, _LOAD, _SYMBOL_TABLE = 183, 2, 1, 2


class ElfError(ImageError):
    """A program image that can't be used; the text names the file."""


@dataclass
class Segment:
    """Bytes at an address; ``data`` is as long as the segment in memory."""

    vaddr: int
    data: bytearray
    readable: bool
    writable: bool
    executable: bool

    @property
    def start(self) -> int:
        """First byte of the first page."""
        return self.vaddr - self.vaddr % PAGE

    @property
    def size(self) -> int:
        """Bytes of the pages that it touches."""
        return -(-(self.vaddr + len(self.data)) // PAGE) * PAGE - self.start


@dataclass
class Elf:
    """A program: where it starts, what it loads, where its symbols are."""

    name: str
    entry: int
    segments: list[Segment]
    symbols: dict[str, tuple[int, int]]  # address, size in bytes

    def address(self, symbol: str) -> int:
        """Address of a symbol; ElfError if there is none."""
        if symbol not in self.symbols:
            raise ElfError(f"{self.name}: no symbol named '{symbol}'")
        return self.symbols[symbol][0]

    def patch(self, symbol: str, value: bytes) -> None:
        """Write ``value`` at a symbol that is at least that large."""
        address, size = self.symbols.get(symbol, (0, 0))
        if symbol not in self.symbols:
            raise ElfError(f"{self.name}: no symbol named '{symbol}'")
        if size < len(value):
            raise ElfError(f"{self.name}: symbol '{symbol}' has {size} bytes, {len(value)} are to be written")
        for segment in self.segments:
            offset = address - segment.vaddr
            if offset >= 0 and offset + size <= len(segment.data):
                segment.data[offset : offset + len(value)] = value
                return
        raise ElfError(f"{self.name}: symbol '{symbol}' lies in no segment")


def _symbols(data: bytes, offset: int, size: int, count: int, name: str) -> dict[str, tuple[int, int]]:
    if size != _SECTION.size and count:
        raise ElfError(f"{name}: unknown section header size {size}")
    sections = [_SECTION.unpack_from(data, offset + i * size) for i in range(count)]
    found: dict[str, tuple[int, int]] = {}
    for section in sections:
        if section[1] != _SYMBOL_TABLE:
            continue
        strings = sections[section[6]]
        text = data[strings[4] : strings[4] + strings[5]]
        for at in range(section[4], section[4] + section[5], _SYMBOL.size):
            name_at, info, _other, index, value, length = _SYMBOL.unpack_from(data, at)
            if name_at and index and info >> 4:  # named, defined, not local
                found[text[name_at : text.index(b"\0", name_at)].decode(errors="replace")] = (value, length)
    return found


def read_elf(path: Path) -> Elf:
    """Read an executable; ElfError if it is missing, damaged or for another machine."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ElfError(f"{path}: {error.strerror}") from error
    try:
        (ident, kind, machine, _version, entry, program_at, section_at, _flags, _size, program_size, program_count,
         section_size, section_count, _names) = _HEADER.unpack_from(data)  # fmt: skip
        if ident[:6] != b"\x7fELF\x02\x01" or machine != _AARCH64 or kind != _EXECUTABLE:
            raise ElfError(f"{path}: not a little-endian AArch64 executable")
        segments = []
        for i in range(program_count):
            what, flags, at, vaddr, _phys, in_file, in_memory, _align = _PROGRAM.unpack_from(
                data, program_at + i * program_size
            )
            if what != _LOAD or in_memory == 0:
                continue
            if in_file > in_memory or at + in_file > len(data):
                raise ElfError(f"{path}: segment {i} reaches beyond the file")
            content = bytearray(data[at : at + in_file]) + bytearray(in_memory - in_file)
            segments.append(Segment(vaddr, content, bool(flags & 4), bool(flags & 2), bool(flags & 1)))
        symbols = _symbols(data, section_at, section_size, section_count, str(path))
    except (struct.error, IndexError, ValueError) as error:
        raise ElfError(f"{path}: damaged ELF file: {error}") from error
    if not segments:
        raise ElfError(f"{path}: nothing to load")
    return Elf(str(path), entry, segments, symbols)
