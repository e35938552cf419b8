# SPDX-License-Identifier: Apache-2.0
"""The device's verifier as a host program under sanitizers, and refusals by their names."""

from __future__ import annotations

import hashlib
import re
import struct
from pathlib import Path

from edge_engine.zig import HOST, ROOT, compile_objects, link
from sel4_bridge.build import BRIDGE, CRYPTO_SOURCES, compile_zig, write_sources
from tests.supervisor.device import FLAGS, SANITIZE, TRAP, sanitizer_runtime
from tests.supervisor.driver import Driver

SOURCES = ("admit", "cbor", "manifest", "module_file", "refusal", "signature", "strict_map", "trust")
ROW = re.compile(r'^SB_REFUSAL\((\d+), (\w+), "(.+)"\)$', re.MULTILINE)
REFUSALS = {
    int(number): (name, text)
    for number, name, text in ROW.findall((BRIDGE / "supervisor" / "refusals.def").read_text(encoding="ascii"))
}
ACCEPTED = "ACCEPTED"


def build_verifier() -> Path:
    write_sources()
    runtime = sanitizer_runtime()
    out = ROOT / "build" / "host-verifier"
    sources = [*(BRIDGE / "supervisor" / f"{name}.c" for name in SOURCES), Path(__file__).with_name("driver.c")]
    objects = compile_objects(sources, out / "obj", HOST, (*FLAGS, *(SANITIZE if runtime else TRAP)))
    for source in CRYPTO_SOURCES:
        objects.append(compile_zig(source, out / "obj" / f"{source.stem}.o", HOST, "build-obj", ("-fPIC",)))
    return link(objects, out / "verifier", HOST, runtime)


class Verifier(Driver):
    """The process; each method is one of its commands and gives the refusal's name."""

    def command(self, letter: str, data: bytes) -> str:
        number = self.ask(letter, data)
        return REFUSALS[number][0] if number else ACCEPTED

    def load(self, root: bytes, *, development: bool = False) -> str:
        return self.command("l", bytes([development]) + root)

    def update(self, document: bytes) -> str:
        return self.command("u", document)

    def past(self, sequence: int, module: bytes = b"") -> None:
        assert self.command("p", struct.pack("<Q", sequence) + hashlib.sha256(module).digest()) == ACCEPTED

    def admit(self, module: bytes) -> str:
        return self.command("a", hashlib.sha256(module).digest() + module)
