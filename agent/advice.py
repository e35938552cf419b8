# SPDX-License-Identifier: Apache-2.0
"""What to do about it: advice for what engines, devices and brokers say, which know no commands and no compilers.

Contract: `with_advice` gives the text of an error with advice behind it, or as it is where there is none. Each row is a
part of such a text and the advice; the first that matches is taken. The texts are the engine's (edge_engine/src), the
refusals of docs/PROTOCOL.md, the errors of group 64 and those of this package that are raised far from any command.
"""

from __future__ import annotations

import re

__all__ = ["with_advice"]

_SIGN = "'wasel sign FILE --key KEY -o OUT'"
ADVICE: tuple[tuple[str, str], ...] = (
    (r"import \S+ is unknown", "build for wasm32-wasip1 without it; docs/wasi-calls.md lists what a device provides"),
    (r"exports no function _start", "build a program with a main function, not a library"),
    (r"a component, not a core module", "build for wasm32-wasip1, or take the core module out of it"),
    (r"the threads proposal is not supported", "build it without threads"),
    (r"magic header not detected", "it is no WebAssembly module: build one for wasm32-wasip1"),
    (r"(malformed module|module: |\.wasm: ).*(unexpected end|ends? .*(behind|within)|section \d+ at \S+ is unknown)",
     "the file is cut short or damaged: build it or fetch it again"),
    (r"(arena too small|needs \d+ bytes of arena)",
     "link it with less stack (-Wl,-z,stack-size=65536) or memory, or run it with a larger --arena"),
    (r"refusal 2:", f"sign it: {_SIGN}"),
    (r"refusal [78]:", f"sign it with a key that the device's root document lists: {_SIGN}, or 'wasel root add-key'"),
    (r"refusal 9:", "sign it with a key for this class, or add the class: 'wasel root add-key --class'"),
    (r"refusal 10:|the bytes are not those that key", f"it was changed after it was signed: sign it again, {_SIGN}"),
    (r"refusal 2[12]:", "raise 'sequence' in its manifest and sign it again, or give it 'downgrade_from'"),
    (r"refusal 2[34]:", "ask for less in its manifest and sign it again; 'wasel ps --json' shows what there is"),
    (r"refusal 26:", "leave --grant and --dir out: what it may do stands in its manifest's policy"),
    (r"refusal 3[2345]:", "'wasel root verify' shows what it lacks; 'wasel root sign' adds a signature"),
    (r"is not signed: it has no section", f"sign it: {_SIGN}"),
    (r"which is not the one to trust", f"give the .pub file of the key that signed it, or sign it again: {_SIGN}"),
    (r"Start: the device says: slot empty", "put a module there first: 'wasel flash FILE --slot N'"),
    (r"Rollback: the device says: slot empty", "there is no module before this one to go back to; flash one"),
    (r"is up already", "take it down first, 'wasel device down NAME', or choose another name"),
    (r"no such slot|no slot \d+;", "'wasel ps' lists the slots"),
)  # fmt: skip


def with_advice(text: str) -> str:
    """Return the text with advice at the end of its first line: a backtrace may follow."""
    first, newline, rest = text.partition("\n")
    for pattern, advice in ADVICE:
        if re.search(pattern, first):
            return f"{first}; {advice}{newline}{rest}"
    return text
