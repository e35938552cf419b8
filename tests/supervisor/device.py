# SPDX-License-Identifier: Apache-2.0
"""The supervisor's C code as a host program under sanitizers, and SMP written independently of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import cbor2

from edge_engine.sources import ENGINE_INCLUDE
from edge_engine.zig import HOST, ROOT, compile_objects, link
from sel4_bridge.build import BRIDGE, CRYPTO_SOURCES, GENERATED, SUPERVISOR_SOURCES, compile_zig, write_sources
from tests.supervisor.driver import Driver

READ, WRITE = 0, 2
FLAGS = (
    "-std=gnu17",
    "-g",
    "-O1",
    "-fno-strict-aliasing",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    f"-I{BRIDGE / 'supervisor'}",
    f"-I{BRIDGE / 'include'}",
    f"-I{GENERATED}",
    f"-I{ENGINE_INCLUDE}",
)
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize=function", "-fno-sanitize-recover=all")
TRAP = ("-fsanitize=undefined", "-fsanitize-trap=undefined")  # where gcc's run-time libraries are missing

STATE_RUNNING, STATE_EXITED, STATE_TRAPPED, STATE_REFUSED = 1, 2, 3, 4
COMMAND_RUN, COMMAND_FAULT = 1, 2


def sanitizer_runtime() -> list[str]:
    """gcc's run-time libraries for SANITIZE, none where they are not at hand."""
    gcc = shutil.which("gcc") or ""
    runtime: list[str] = []
    for name in ("libasan.so", "libubsan.so") if gcc else ():
        found = subprocess.run(
            [gcc, f"-print-file-name={name}"], capture_output=True, text=True, check=True, timeout=60
        )
        if Path(found.stdout.strip()).is_absolute():
            runtime.append(found.stdout.strip())
    return runtime if len(runtime) == 2 else []


def build_driver() -> Path:
    """The driver's executable: with AddressSanitizer where gcc's run-time libraries are at hand."""
    write_sources()
    runtime = sanitizer_runtime()
    flags = (*FLAGS, *(SANITIZE if runtime else TRAP))
    out = ROOT / "build" / "host-supervisor"
    sources = [*SUPERVISOR_SOURCES, Path(__file__).with_name("driver.c")]
    objects = compile_objects(sources, out / "obj", HOST, flags)
    for source in CRYPTO_SOURCES:
        objects.append(compile_zig(source, out / "obj" / f"{source.stem}.o", HOST, "build-obj", ("-fPIC",)))
    return link(objects, out / "driver", HOST, runtime)


def frame(message: bytes, line: int | None = None, *, pad_lines: bool = False) -> bytes:
    """A message in console frames; `line` base64 characters a line, or `pad_lines`: that many bytes, padded each."""
    packet = struct.pack(">H", len(message) + 2) + message + struct.pack(">H", binascii.crc_hqx(message, 0))
    if pad_lines and line:
        pieces = [base64.b64encode(packet[i : i + line]) for i in range(0, len(packet), line)]
    else:
        text = base64.b64encode(packet)
        pieces = [text[i : i + (line or len(text))] for i in range(0, len(text), line or len(text))]
    return b"".join((b"\x06\x09" if i == 0 else b"\x04\x14") + piece + b"\n" for i, piece in enumerate(pieces))


def unframe(data: bytes) -> list[bytes]:
    """The messages in framed output; asserts the CRCs."""
    messages: list[bytes] = []
    packet = b""
    for line in data.splitlines():
        if line[:2] == b"\x06\x09":
            packet = b""
        else:
            assert line[:2] == b"\x04\x14"
        assert len(line) + 1 <= 127
        packet += base64.b64decode(line[2:], validate=True)
        if len(packet) >= 2 and len(packet) == 2 + int.from_bytes(packet[:2], "big"):
            assert binascii.crc_hqx(packet[2:], 0) == 0
            messages.append(packet[2:-2])
    return messages


def message(op: int, group: int, command: int, body: object = None, *, version: int = 1, sequence: int = 7) -> bytes:
    """An SMP message; `body` None is no body, bytes go as they are."""
    data = b"" if body is None else body if isinstance(body, bytes) else cbor2.dumps(body)
    return struct.pack(">BBHHBB", version << 3 | op, 0, len(data), group, sequence, command) + data


class Device(Driver):
    """The driver process; each method is one of its commands."""

    def command(self, letter: str, data: bytes = b"") -> bytes:
        return self.read(self.ask(letter, data))

    def feed(self, data: bytes, *, bytewise: bool = False) -> bytes:
        return self.command("b" if bytewise else "f", data)

    def request(
        self, op: int, group: int, command: int, body: object = None, *, version: int = 1, events: bool = True
    ) -> Any:
        """The answer; without `events` it is the handler alone that answers, as if nothing had happened before."""
        answer = self.command("m" if events else "h", message(op, group, command, body, version=version))
        assert struct.unpack(">BBHHBB", answer[:8]) == (
            version << 3 | (op + 1), 0, len(answer) - 8, group, 7, command)  # fmt: skip
        return cbor2.loads(answer[8:])

    def events(self) -> list[str]:
        return self.command("e").decode().splitlines()

    def slot(self, number: int = 0) -> dict[str, Any]:
        slot: dict[str, Any] = self.request(READ, 64, 0)["slots"][number]
        return slot

    def upload(self, data: bytes, *, image: int = 0, chunk: int = 4000, confirm: bool = True) -> bytes:
        """Upload whole, mark for the next start; returns the digest."""
        digest = hashlib.sha256(data).digest()
        body = {"image": image, "off": 0, "len": len(data), "sha": digest, "data": data[:chunk]}
        answer = self.request(WRITE, 1, 1, body)
        while answer["off"] < len(data):
            offset = answer["off"]
            answer = self.request(WRITE, 1, 1, {"off": offset, "data": data[offset : offset + chunk]})
        assert answer == {"off": len(data), "match": True}
        assert "images" in self.request(WRITE, 1, 0, {"hash": digest, "confirm": confirm})
        return digest

    def control(self, slot: int = 0) -> dict[str, int]:
        page = self.command("c", bytes([slot]))
        names = ("generation", "command", "offset", "size", "stack", "fuel", "metered", "label", "pc", "address")
        return dict(zip(names, struct.unpack_from("<IIQQQQIIQQ", page), strict=True))

    def launch(self, slot: int = 0) -> dict[str, Any]:
        """What the wasi domain reads: generation, lossless and the strings."""
        page = self.command("a", bytes([slot]))
        generation, argc, envc, size, lossless, grantc, _trace, _ended = struct.unpack_from("<8I", page)
        strings = page[32 : 32 + size].split(b"\0")[:-1] if size else []
        assert len(strings) == argc + envc + grantc
        return {
            "generation": generation,
            "args": strings[:argc],
            "env": strings[argc : argc + envc],
            "grants": strings[argc + envc :],
            "lossless": lossless,
        }

    def engine_says(
        self, state: int, *, slot: int = 0, generation: int | None = None, exit_code: int = 0,
        usage: tuple[int, int, int] = (0, 0, 0), text: bytes = b"", backtrace: bytes = b"",
        tier: int = 0, tier_text: bytes = b"",
    ) -> None:  # fmt: skip
        generation = self.control(slot)["generation"] if generation is None else generation
        self.command(
            "g",
            struct.pack(
                "<IIIIQQQ256s2048s96sI4x", slot, state, generation, exit_code, *usage, text, backtrace, tier_text, tier
            ),
        )

    def fault(
        self, *, slot: int = 0, label: int = 6, pc: int = 0, address: int = 0, regs: tuple[int, ...] = ()
    ) -> None:
        self.command("t", struct.pack("<IIQQ8Q", slot, label, pc, address, *regs, *([0] * (8 - len(regs)))))

    def log(self, data: bytes, *, slot: int = 0, stream: int = 1, line: bool = True) -> bool:
        return self.command("l", bytes([slot, stream, line]) + data) == b"\x01"
