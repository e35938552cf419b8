# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - a row of the table is a line
"""The most likely mistakes, made at the real command line: one line says what was wrong, where, and what to do."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import wasmtime

from agent.advice import with_advice
from agent.link.simulated import SimulatedDevice
from tests.agents.conftest import DeviceThread

WASEL = Path(sys.executable).with_name("wasel")
TIMEOUT_S = 600  # the first run may have to build the simulator
EMPTY = b"\0asm\1\0\0\0"
TEXTS = {
    "fine.wasm": '(module (memory (export "memory") 1) (func (export "_start")))',
    "import.wasm": '(module (import "env" "gpio_set" (func)) (memory (export "memory") 1) (func (export "_start")))',
    "big.wasm": '(module (memory (export "memory") 257) (func (export "_start")))',
    "library.wasm": '(module (memory (export "memory") 1) (func (export "run")))',
}
FILES = {
    "text.wasm": b"(module)",
    "elf.wasm": b"\x7fELF\2\1\1\0" + bytes(56),
    "zip.wasm": b"PK\3\4" + bytes(26),
    "gzip.wasm": b"\x1f\x8b\x08" + bytes(15),
    "archive.wasm": b"!<arch>\n",
    "component.wasm": b"\0asm\x0d\0\1\0",
    "empty.wasm": b"",
    "main.c": b"int main(void) { return 0; }\n",
    "cut.wasm": EMPTY + b"\x0a\x7f",
    "bad.toml": b"port = 7\n",
    "stale.toml": b'device = "gone"\n',
    "manifest.toml": b"name = fine\n",
}


@dataclass(frozen=True)
class Mistake:
    """What was typed ({port}: a device that answers, {busy}: one that is silent), and what the answer has."""

    name: str
    command: str
    code: int
    what: str
    do: str
    env: dict[str, str] = field(default_factory=dict)


def file_of(kind: str, do: str, what: str = "no WebAssembly module: ") -> Mistake:
    return Mistake(kind, f"flash {kind} --port {{port}}", 3, f"{kind}: {what}", do)


MISTAKES = (
    Mistake("wrong port", "flash fine.wasm --port /dev/ttyUSB99", 4, "/dev/ttyUSB99: cannot be opened", "'wasel doctor' lists"),
    Mistake("no serial port", "ps --port main.c", 4, "main.c: cannot be opened: it is no serial port", "'wasel doctor' lists"),
    Mistake("nobody listens", "ps --port socket://127.0.0.1:1", 4, "nobody listens there", "is the device up"),
    Mistake("port's form", "ps --port nonsense://x", 4, "nonsense", "write /dev/ttyUSB0, socket://HOST:PORT"),
    Mistake("port busy or silent", "ps --port {busy}", 4, "no answer within", "does no other program hold its port"),
    Mistake("no QEMU", "run --on qemu fine.wasm", 1, "qemu-system-aarch64 is not installed", "apt-get install", {"PATH": "/nowhere"}),
    Mistake("no SDK", "run --on sel4 fine.wasm", 1, "needs the Microkit SDK", "set MICROKIT_SDK"),
    file_of("text.wasm", "convert it: wat2wasm"),
    file_of("elf.wasm", "build it for wasm32-wasip1"),
    file_of("zip.wasm", "unpack the module"),
    file_of("gzip.wasm", "unpack it: gunzip"),
    file_of("archive.wasm", "link a program"),
    file_of("empty.wasm", "build it again"),
    file_of("main.c", "'wasel build'"),
    file_of("component.wasm", "build for wasm32-wasip1", "is a component"),
    Mistake("wrong file to run", "run text.wasm", 3, "text.wasm: no WebAssembly module", "wat2wasm"),
    Mistake("cut short", "run cut.wasm", 3, "cut.wasm: malformed module: unexpected end", "build it or fetch it again"),
    Mistake("missing file", "run gone.wasm", 2, "gone.wasm: cannot be read", "'wasel build' makes"),
    Mistake("unknown import", "run import.wasm", 3, "import env.gpio_set is unknown", "docs/wasi-calls.md"),
    Mistake("unknown import on a device", "run --on sim import.wasm", 3, "import env.gpio_set is unknown", "docs/wasi-calls.md"),
    Mistake("a library", "run library.wasm", 3, "exports no function _start", "build a program"),
    Mistake("too big for the arena", "run big.wasm", 3, "arena too small", "link it with less stack"),
    Mistake("too big for a device", "flash big.wasm --port {port}", 3, "nothing was sent", "'wasel inspect'"),
    Mistake("bad --arena", "run --arena 7q fine.wasm", 2, "--arena 7q", "write bytes as 65536, 64KiB"),
    Mistake("small --arena", "run --arena 10 fine.wasm", 2, "--arena 10: 64KiB at least", "'wasel inspect'"),
    Mistake("bad --dir", "run --dir :/x fine.wasm", 2, "--dir :/x: names no directory", "write HOST or HOST:GUEST"),
    Mistake("no such --dir", "run --dir gone:/x fine.wasm", 2, "gone is no directory", "write HOST or HOST:GUEST"),
    Mistake("--dir leads out", "run --dir .:../x fine.wasm", 2, "leads out", "write --dir HOST:GUEST"),
    Mistake("bad --env", "run --env X fine.wasm", 2, "--env X", "write it as K=V"),
    Mistake("bad --grant", "run --grant dri=/data fine.wasm", 2, "unknown word 'dri=/data'", "write dir=/PATH"),
    Mistake("no such runner", "run --on moon fine.wasm", 2, "--on moon: not supported", "there is: host, qemu, sel4, sim"),
    Mistake("options of a start", "flash fine.wasm --arg x --port {port}", 2, "--arg: belongs to a start", "add --start"),
    Mistake("no such device", "ps --device nobody", 4, "device 'nobody' is not there", "start it with 'wasel device up nobody'"),
    Mistake("no such slot", "flash fine.wasm --slot 7 --port {port}", 4, "no slot 7; there are 2", "'wasel ps' lists"),
    Mistake("no such slot to count", "stats --slot 9 --port {port}", 4, "no slot 9; there are 2", "'wasel ps' lists"),
    Mistake("empty slot", "start --slot 1 --port {port}", 4, "slot empty", "'wasel flash FILE --slot N'"),
    Mistake("broker down", "deploy fine.wasm -d lab --broker mqtt://127.0.0.1:1", 5, "broker mqtt://127.0.0.1:1", "is it running"),
    Mistake("broker's form", "deploy fine.wasm -d lab --broker http://x", 2, "broker 'http://x'", "write it as mqtt://HOST:PORT"),
    Mistake("device's name", "deploy fine.wasm -d a/b", 2, "'a/b' is not allowed", "use letters, digits"),
    Mistake("unsigned", "verify fine.wasm --key one.pub", 3, "fine.wasm: is not signed", "'wasel sign FILE"),
    Mistake("wrong key", "verify signed.wasm --key two.pub", 3, "which is not the one to trust", "'wasel sign FILE"),
    Mistake("private for public", "verify signed.wasm --key one", 2, "one: holds no Ed25519 public key", "writes one to KEY.pub"),
    Mistake("public for private", "sign fine.wasm --key one.pub -o x.wasm", 2, "one.pub: holds no unencrypted", "`wasel keygen"),
    Mistake("key is there", "keygen -o one", 2, "one: there is a key already", "name another file"),
    Mistake("changed after signing", "verify changed.wasm --key one.pub", 3, "changed.wasm: ", "sign it again"),
    Mistake("manifest's form", "sign fine.wasm --key one -m manifest.toml -o x.wasm", 3, "manifest.toml: manifest: not TOML", "line 1"),
    Mistake("bad profile", "ps", 2, "bad.toml: port: a text is needed", 'as in port = "/dev/ttyUSB0"', {"WASEL_PROFILE": "bad.toml"}),
    Mistake("stale profile", "ps", 4, "device 'gone' is not there", "stale.toml names; correct it", {"WASEL_PROFILE": "stale.toml"}),
    Mistake("stale variable", "ps", 4, "device 'gone' is not there", "WASEL_DEVICE names; correct it", {"WASEL_DEVICE": "gone"}),
    Mistake("no project", "build", 2, "wasel.toml: there is none", "'wasel new NAME"),
    Mistake("no such board", "device up x --board rpi", 2, "no board 'rpi'", "there are: qemu_virt_aarch64"),
    Mistake("no such kernel", "device up x --kernel linux", 2, "has no kernel 'linux'", "it has: standin, sel4"),
    Mistake("not up", "device down nobody", 4, "no device nobody", "start it with: wasel device up"),
    Mistake("which server", "fleet status", 2, "which server?", "give --url and --token"),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of every kind, and two keys."""
    made = tmp_path_factory.mktemp("mistakes")
    for name, data in FILES.items():
        (made / name).write_bytes(data)
    for name, text in TEXTS.items():
        (made / name).write_bytes(bytes(wasmtime.wat2wasm(text)))
    for command in ("keygen -o one", "keygen -o two", "sign fine.wasm --key one -o signed.wasm"):
        done = wasel(command, made)
        assert done.returncode == 0, done.stderr
    signed = bytearray((made / "signed.wasm").read_bytes())
    signed[signed.index(b"_start")] ^= 1
    (made / "changed.wasm").write_bytes(signed)
    return made


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, str]]:
    """A device that answers, and one that takes the connection and says nothing."""
    with DeviceThread(SimulatedDevice()) as device, socket.create_server(("127.0.0.1", 0)) as silent:
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(silent.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield {"port": device.url, "busy": f"socket://127.0.0.1:{silent.getsockname()[1]}"}
        silent.shutdown(socket.SHUT_RDWR)
        for one in kept:
            one.close()


def wasel(command: str, folder: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WASEL_") and k != "MICROKIT_SDK"}
    return subprocess.run(
        [WASEL, *command.split()],
        cwd=folder,
        env=kept | {"WASEL_STATE": str(folder / "state"), "WASEL_PROFILE": str(folder / "none.toml")} | (env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_says_what_to_do(mistake: Mistake, folder: Path, ports: dict[str, str]) -> None:
    done = wasel(mistake.command.format(**ports), folder, mistake.env)
    assert done.returncode == mistake.code, done.stdout + done.stderr
    assert re.fullmatch(r"wasel: [^\n]+\n", done.stderr), done.stderr
    assert mistake.what in done.stderr
    assert mistake.do in done.stderr[done.stderr.index(mistake.what) :]


def test_a_missing_compiler_names_the_extra(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['ziglang'] = None\n")
    project = folder / "blink"
    assert wasel("new blink --lang c", folder).returncode == 0
    done = wasel("build", project, {"PYTHONPATH": str(tmp_path)})
    assert done.returncode != 0
    assert "ziglang" in done.stderr
    assert "pip install 'wasel[compile]'" in done.stderr


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("lab: refusal 2: the module is not signed", "sign it: 'wasel sign"),
        ("lab: refusal 7: the module is signed by a key that this device does not trust", "root document lists"),
        ("lab: refusal 10: the module's bytes are not those that were signed", "sign it again"),
        ("lab: refusal 21: the module is older than the one that was confirmed in this slot", "raise 'sequence'"),
        ("lab: refusal 26: a signed module has the grants of its manifest", "leave --grant and --dir out"),
        ("lab: Rollback: the device says: slot empty (code 4)", "flash one"),
        ("device lab is up already (process 7, stand-in kernel)", "'wasel device down NAME'"),
    ],
)
def test_what_a_device_says_gets_advice(text: str, advice: str) -> None:
    assert advice in with_advice(text)[len(text) :]


def test_advice_stands_before_the_backtrace_and_only_where_it_fits() -> None:
    assert with_advice("a: b") == "a: b"
    assert with_advice("trap: unreachable (x)\n  #0 no slot 7;") == "trap: unreachable (x)\n  #0 no slot 7;"
