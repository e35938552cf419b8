# SPDX-License-Identifier: Apache-2.0
"""Refused modules: which class, where, and in what words. Modules are written byte by byte, so offsets are known."""

from __future__ import annotations

import pytest

from agent.binary import encode_unsigned
from edge_engine import (
    ArenaTooSmall,
    InvalidModule,
    MalformedModule,
    Module,
    ModuleError,
    UnsupportedModule,
)

PREAMBLE = b"\0asm\1\0\0\0"


def section(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + encode_unsigned(len(content)) + content


def vector(*items: bytes) -> bytes:
    return encode_unsigned(len(items)) + b"".join(items)


def with_body(body: str, *, sections: bytes = b"", type_: str = "60 00 00", locals_: str = "00") -> bytes:
    """A module of one function; its body begins behind the local declarations."""
    code = bytes.fromhex(locals_) + bytes.fromhex(body)
    return (
        PREAMBLE
        + section(1, vector(bytes.fromhex(type_)))
        + section(3, vector(b"\0"))
        + sections
        + section(10, vector(encode_unsigned(len(code)) + code))
    )


MALFORMED = {
    "empty": (b"", "magic header not detected", 0),
    "foreign": (b"\x7fELF\2\1\1\0", "magic header not detected", 0),
    "half a preamble": (b"\0asm", "expected the binary version", 4),
    "future version": (b"\0asm\2\0\0\0", "expected 1, found 2", 4),
    "truncated section": (PREAMBLE + b"\1\5\1\x60", "section 1 needs 5 bytes, found 2", 8),
    "section id": (PREAMBLE + b"\x20\0", "malformed section id 32", 8),
    "order": (PREAMBLE + b"\3\1\0\1\1\0", "section out of order", 11),
    "twice": (PREAMBLE + b"\1\1\0\1\1\0", "a second section of the same kind", 11),
    "long number": (PREAMBLE + b"\1\x80\x80\x80\x80\x80\0", "integer representation too long", 9),
    "large number": (PREAMBLE + b"\1\xff\xff\xff\xff\x7f", "integer too large", 9),
    "count beyond bytes": (PREAMBLE + section(1, b"\xff\xff\xff\xff\x0f"), "expected 4294967295 entries, found 0", 15),
    "bytes behind": (PREAMBLE + section(1, b"\0\0"), "section size mismatch", 11),
    "name": (PREAMBLE + section(0, b"\2\xc0\x80"), "malformed UTF-8 encoding", 10),
    "no bodies": (PREAMBLE + section(1, vector(b"\x60\0\0")) + section(3, b"\1\0"), "code section is missing", 18),
    "illegal opcode": (with_body("ff 0b"), "illegal opcode", 23),
    "no end": (with_body("01"), "END opcode expected", 24),
    "body goes on": (with_body("0b 01"), "bytes left behind the function's end", 24),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    data, text, offset = MALFORMED[name]
    with pytest.raises(MalformedModule) as refusal:
        Module(data)
    assert text in refusal.value.text
    assert refusal.value.offset == offset


INVALID = {
    "operand type": ("41 00 42 00 6a 1a 0b", "i32.add: type mismatch: expected i32, found i64", 4),
    "operand missing": ("41 00 6a 1a 0b", "i32.add: type mismatch: expected i32, found nothing", 2),
    "result left": ("41 00 0b", "expected nothing more on the stack at the block's end, found i32", 2),
    "branch": ("0c 01 0b", "br: unknown label: expected an index below 1, found 1", 0),
    "local": ("20 05 1a 0b", "local.get: unknown local: expected an index below 0, found 5", 0),
    "call": ("10 07 0b", "call: unknown function: expected an index below 1, found 7", 0),
    "global": ("23 00 1a 0b", "global.get: unknown global: expected an index below 0, found 0", 0),
    "memory": ("41 00 28 02 00 1a 0b", "i32.load: unknown memory 0", 2),
    "block type": ("02 09 0b 0b", "block: unknown type: expected an index below 1, found 9", 0),
    "undeclared": ("d2 00 1a 0b", "ref.func: undeclared function reference", 0),
    "lane": ("fd 0c" + "00" * 16 + "fd 15 10 1a 0b", "i8x16.extract_lane_s: unknown lane", 18),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_bodies_name_function_place_and_types(name: str) -> None:
    body, text, at = INVALID[name]
    with pytest.raises(InvalidModule) as refusal:
        Module(with_body(body))
    assert text in refusal.value.text
    assert refusal.value.function == 0
    assert refusal.value.offset == len(with_body("")) + at


def test_a_fault_of_form_is_told_before_an_earlier_fault_of_types() -> None:
    with pytest.raises(MalformedModule, match="illegal opcode") as refusal:
        Module(with_body("6a ff 0b"))
    assert refusal.value.offset == len(with_body("")) + 1


UNSUPPORTED = {
    "a component": b"\0asm\x0d\0\1\0",
    "threads": PREAMBLE + section(5, b"\1\3\1\1"),
    "memory64": PREAMBLE + section(5, b"\1\4\1"),
    "exception handling": PREAMBLE + section(13, b"\0"),
    "garbage collection": PREAMBLE + section(1, b"\1\x5f\0\0"),
    "function references": with_body("14 00 0b"),
    "relaxed SIMD": with_body("fd 80 02 0b"),
    "threads proposal": with_body("fe 00 0b"),
    "multi-memory": with_body("41 00 28 42 00 00 1a 0b", sections=section(5, b"\1\0\1")),
    "1000 parameters": PREAMBLE + section(1, b"\1\x60" + encode_unsigned(1001) + b"\x7f" * 1001 + b"\0"),
    "50000": with_body("0b", locals_="01 d1 86 03 7f"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(UnsupportedModule) as refusal:
        Module(UNSUPPORTED[name])
    assert name in refusal.value.text
    assert refusal.value.offset is not None


def test_every_prefix_of_a_module_is_refused_or_valid() -> None:
    whole = with_body("02 40 41 01 0d 00 0b 0b", sections=section(7, vector(b"\1f\0\0")))
    whole += section(0, b"\4name\1\4\1\0\1f")
    Module(whole)
    kept = [size for size in range(len(whole)) if _is_valid(whole[:size])]
    # Only whole modules without their last sections are valid; there is none between functions and code.
    assert kept == [8, 14, len(whole) - 13]


def _is_valid(data: bytes) -> bool:
    try:
        Module(data)
    except ModuleError:
        return False
    return True


def test_nesting_and_sizes_are_bounded_by_the_arena_alone() -> None:
    depth = 100_000
    deep = with_body((b"\2\x40" * depth + b"\x0b" * depth + b"\x0b").hex())
    assert Module(deep).summary.functions == 1
    with pytest.raises(ArenaTooSmall, match="validator's stacks"):
        Module(deep, scratch_size=1 << 20)


def test_the_arena_is_given_back_after_validation() -> None:
    summary = Module(with_body((b"\2\x40" * 1000 + b"\x0b" * 1001).hex())).summary
    assert summary.decoded_bytes < 1000
    assert summary.peak_bytes > 1000 * 12
