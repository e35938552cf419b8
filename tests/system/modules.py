# SPDX-License-Identifier: Apache-2.0
"""Modules for the system tests: compiled from C (wasi-libc), or put together byte by byte where C cannot go.

Binary format: WebAssembly Core Specification 2.0, chapter 5. Numbers here stay below 128 where one byte has to do.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from agent.binary import encode_unsigned
from edge_engine.zig import TIMEOUT_S

ROOT = Path(__file__).resolve().parents[2]
STACK = "-Wl,-z,stack-size=65536"  # zig's default of 16 MiB is more than a slot's arena
CACHE = ROOT / "build" / "tests" / "modules"
MAGIC = b"\0asm\x01\0\0\0"
TYPE, IMPORT, FUNCTION, MEMORY, EXPORT, CODE = 1, 2, 3, 5, 7, 10
NOP, UNREACHABLE, LOOP_FOR_EVER, END = b"\x01", b"\x00", b"\x03\x40\x0c\x00\x0b", b"\x0b"
I32_ADD = b"\x6a"


def compile_c(source: str | Path, *flags: str) -> bytes:
    """Compile C text or a C file for wasm32-wasi; the result is kept by content."""
    text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    output = CACHE / f"{hashlib.sha256(repr((text, STACK, flags)).encode()).hexdigest()[:24]}.wasm"
    if not output.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = output.with_suffix(".part")
        command = [sys.executable, "-m", "ziglang", "cc", "--target=wasm32-wasi", "-O2", "-s", STACK, *flags]
        command += ["-x", "c", "-", "-o", str(unfinished)]
        subprocess.run(command, input=text.encode(), check=True, timeout=TIMEOUT_S)
        unfinished.replace(output)
    return output.read_bytes()


def vector(*items: bytes) -> bytes:
    return encode_unsigned(len(items)) + b"".join(items)


def name(text: str) -> bytes:
    return encode_unsigned(len(text)) + text.encode()


def section(number: int, body: bytes) -> bytes:
    return bytes([number]) + encode_unsigned(len(body)) + body


def module(body: bytes, *, pages: int = 1, imports: tuple[tuple[str, str], ...] = ()) -> bytes:
    """Make a module whose `_start` has these instructions; imported functions have type () -> ()."""
    start = len(imports)
    code = vector() + body + END
    return (
        MAGIC
        + section(TYPE, vector(b"\x60\x00\x00"))
        + section(IMPORT, vector(*(name(m) + name(f) + b"\x00\x00" for m, f in imports)))
        + section(FUNCTION, vector(b"\x00"))
        + section(MEMORY, vector(b"\x00" + encode_unsigned(pages)))
        + section(EXPORT, vector(name("_start") + b"\x00" + encode_unsigned(start), name("memory") + b"\x02\x00"))
        + section(CODE, vector(encode_unsigned(len(code)) + code))
    )
