# SPDX-License-Identifier: Apache-2.0
"""Turn a reactor (a module without `_start`) into a command: add a start function that calls its exports in order.

Contract: `command` appends a function type, a function, an export and a body to the sections that a module with
functions has; custom sections go, everything else stays.
The body calls `_initialize`, lays `argv` out as C's main wants it, in memory of the module's own `malloc`, and gives it
to the export `entry` (argc, argv) -> i32, whose result is the exit code.
Source: WebAssembly core specification, chapter 5 "Binary Format".
"""

from __future__ import annotations

from agent.binary import decode_unsigned, encode_unsigned
from tests.engine.binary import encode_signed

__all__ = ["command"]

CUSTOM, TYPE, IMPORT, FUNCTION, EXPORT, CODE = 0, 1, 2, 3, 7, 10
FUNC_IMPORT = 0
HEADER = 8


def _sections(module: bytes) -> list[tuple[int, bytes]]:
    found, at = [], HEADER
    while at < len(module):
        number = module[at]
        size, at = decode_unsigned(module, at + 1)
        found.append((number, module[at : at + size]))
        at += size
    return found


def _name(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = decode_unsigned(data, at)
    return data[at : at + size], at + size


def _imported_functions(section: bytes) -> list[bytes]:
    """Their names in order."""
    count, at = decode_unsigned(section, 0)
    functions = []
    for _ in range(count):
        _, at = _name(section, at)
        name, at = _name(section, at)
        if section[at] != FUNC_IMPORT:
            raise ValueError("only imports of functions are understood")
        _, at = decode_unsigned(section, at + 1)
        functions.append(name)
    return functions


def _exports(section: bytes) -> dict[bytes, int]:
    count, at = decode_unsigned(section, 0)
    found = {}
    for _ in range(count):
        name, at = _name(section, at)
        kind = section[at]
        index, at = decode_unsigned(section, at + 1)
        if kind == FUNC_IMPORT:
            found[name] = index
    return found


def _more(section: bytes, item: bytes) -> bytes:
    """Append an item to a vector."""
    count, at = decode_unsigned(section, 0)
    return encode_unsigned(count + 1) + section[at:] + item


def _body(exports: dict[bytes, int], entry: bytes, exit_function: int, argv: list[bytes]) -> bytes:
    def call(name: bytes) -> bytes:
        return b"\x10" + encode_unsigned(exports[name])

    strings = b"".join(text + b"\0" for text in argv)
    table = 4 * (len(argv) + 1)
    code = call(b"_initialize") + b"\x41" + encode_signed(table + len(strings)) + call(b"malloc") + b"\x21\x00"
    at = table
    for index, text in enumerate(argv):  # table[index] = block + at
        code += b"\x20\x00\x20\x00\x41" + encode_signed(at) + b"\x6a\x36\x02" + encode_unsigned(4 * index)
        at += len(text) + 1
    code += b"\x20\x00\x41\x00\x36\x02" + encode_unsigned(table - 4)
    for offset, byte in enumerate(strings):
        code += b"\x20\x00\x41" + encode_signed(byte) + b"\x3a\x00" + encode_unsigned(table + offset)
    code += b"\x41" + encode_signed(len(argv)) + b"\x20\x00" + call(entry) + b"\x10" + encode_unsigned(exit_function)
    body = b"\x01\x01\x7f" + code + b"\x0b"  # one local, an i32
    return encode_unsigned(len(body)) + body


def command(module: bytes, entry: bytes, argv: list[bytes]) -> bytes:
    """Return the module with `_start`; it must import proc_exit."""
    sections = dict(_sections(module))
    types, _ = decode_unsigned(sections[TYPE], 0)
    functions, _ = decode_unsigned(sections[FUNCTION], 0)
    imported = _imported_functions(sections[IMPORT])
    new = len(imported) + functions
    exports = _exports(sections[EXPORT])
    changed = {
        TYPE: _more(sections[TYPE], b"\x60\x00\x00"),
        FUNCTION: _more(sections[FUNCTION], encode_unsigned(types)),
        EXPORT: _more(sections[EXPORT], b"\x06_start\x00" + encode_unsigned(new)),
        CODE: _more(sections[CODE], _body(exports, entry, imported.index(b"proc_exit"), argv)),
    }
    out = bytearray(module[:HEADER])
    for number, before in _sections(module):
        if number == CUSTOM:
            continue  # names of functions, more than half of a file
        content = changed.get(number, before)
        out += bytes([number]) + encode_unsigned(len(content)) + content
    return bytes(out)
