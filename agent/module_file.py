# SPDX-License-Identifier: Apache-2.0
"""The sections of a WebAssembly file, and custom sections added to and taken from it.

Contract: bytes in, bytes or positions out; no I/O. A file is read as its chain of sections (id, size, content), each
inside the file and the last one ending with it. What the sections mean is the engine's business.

Does NOT: read components (they are refused by name) or look into sections other than a custom section's name.
Source: WebAssembly core specification, 5.5.2 (sections), 5.5.3 (custom section), 5.5.16 (modules).
"""

from __future__ import annotations

from dataclasses import dataclass

from agent import binary
from agent.errors import RefusedError

__all__ = [
    "MANIFEST_SECTION",
    "SIGNATURE_SECTION",
    "ModuleFileError",
    "Section",
    "append_section",
    "check_header",
    "custom_section",
    "read_sections",
    "strip_sections",
]

MANIFEST_SECTION = "wasel.manifest"
SIGNATURE_SECTION = "wasel.signature"

MAGIC = b"\0asm"
VERSION = b"\1\0\0\0"
LAYER_AT = 6  # byte of the version field that says module (0) or component (1)
HEADER_SIZE = 8  # bytes
OTHERS = (
    (b"\x7fELF", "it is a program or library for a machine (ELF); build it for wasm32-wasip1"),
    (b"PK\3\4", "it is a zip archive; unpack the module out of it"),
    (b"\x1f\x8b", "it is compressed (gzip); unpack it: gunzip"),
    (b"!<arch>", "it is a library archive (ar); link a program"),
    (b"#!", "it is a script; 'wasel javascript' makes a module of a JavaScript one"),
)
LAST_SECTION_ID = 13


class ModuleFileError(RefusedError):
    """The file is no WebAssembly module, or its sections do not add up."""


@dataclass(frozen=True)
class Section:
    """One section by its place in the file; offsets in bytes."""

    id: int
    name: str | None
    """Of a custom section (id 0), else None."""
    start: int
    """Of the section, at its id."""
    content: int
    """Of what it holds: after the size, in a custom section after the name."""
    end: int


def _u32(data: bytes, at: int, end: int) -> tuple[int, int]:
    try:
        return binary.decode_unsigned(data, at, end)
    except ValueError as error:
        raise ModuleFileError(str(error)) from error


def _what_it_is(data: bytes) -> str:
    """Say what else a file is, by its first bytes, and what to do with it."""
    for start, words in OTHERS:
        if data.startswith(start):
            return words
    if not data:
        return "the file is empty; build it again"
    if data.lstrip()[:1] == b"(":
        return "it is WebAssembly text; convert it: wat2wasm FILE.wat -o FILE.wasm"
    return "it does not begin with \\0asm; build one for wasm32-wasip1, as 'wasel new' and 'wasel build' do"


def check_header(data: bytes) -> None:
    """Look at the file's first bytes alone.

    Raises:
        ModuleFileError: no core module; the text says what it is instead and what to do.

    """
    if data[: len(MAGIC)] != MAGIC:
        raise ModuleFileError(f"no WebAssembly module: {_what_it_is(data)}")
    if len(data) < HEADER_SIZE:
        raise ModuleFileError("the file ends within the module's header")
    if data[LAYER_AT : LAYER_AT + 2] == b"\1\0":
        raise ModuleFileError("is a component; wasel runs core modules: build for wasm32-wasip1")
    if data[len(MAGIC) : HEADER_SIZE] != VERSION:
        raise ModuleFileError(f"WebAssembly version {int.from_bytes(data[4:8], 'little')}: only 1 is known")


def read_sections(data: bytes) -> tuple[Section, ...]:
    """Read the chain of sections.

    Raises:
        ModuleFileError: no module, a component, or a section that does not end where it should.

    """
    check_header(data)
    sections = []
    at = HEADER_SIZE
    while at < len(data):
        number = data[at]
        if number > LAST_SECTION_ID:
            raise ModuleFileError(f"section {number} at {at:#x} is unknown")
        size, content = _u32(data, at + 1, len(data))
        end = content + size
        if end > len(data):
            raise ModuleFileError(f"the section at {at:#x} ends {end - len(data)} bytes behind the file")
        name = None
        if number == 0:
            length, begin = _u32(data, content, end)
            content = begin + length
            if content > end:
                raise ModuleFileError(f"the name of the custom section at {at:#x} goes past its end")
            try:
                name = data[begin:content].decode()
            except UnicodeDecodeError as error:
                raise ModuleFileError(f"the name of the custom section at {at:#x} is not UTF-8") from error
        sections.append(Section(number, name, at, content, end))
        at = end
    return tuple(sections)


def custom_section(data: bytes, name: str) -> bytes | None:
    """Give the content of the one custom section of that name, None if there is none.

    Raises:
        ModuleFileError: the sections do not add up, or several have that name.

    """
    found = [section for section in read_sections(data) if section.name == name]
    if len(found) > 1:
        raise ModuleFileError(f"has {len(found)} sections {name}, one is allowed")
    return data[found[0].content : found[0].end] if found else None


def append_section(data: bytes, name: str, content: bytes) -> bytes:
    """Give the module with one more custom section at its end."""
    return data + binary.custom_section(name, content)


def strip_sections(data: bytes, *names: str) -> bytes:
    """Give the module without its custom sections of these names; every other byte stays.

    Raises:
        ModuleFileError: the sections do not add up.

    """
    kept = [data[:HEADER_SIZE]]
    kept += [data[section.start : section.end] for section in read_sections(data) if section.name not in names]
    return b"".join(kept)
