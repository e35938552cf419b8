# SPDX-License-Identifier: Apache-2.0
"""`wasel run --on qemu` (and --on sel4) as a program: bytes, exit codes, and no device left behind."""

import asyncio
import dataclasses
from pathlib import Path

import pytest

from qemu.programs import run_wasel
from tests.system import modules as m

pytestmark = pytest.mark.system
RUNNERS = {"standin": "qemu", "sel4": "sel4"}


@dataclasses.dataclass(frozen=True)
class Case:
    module: bytes
    code: int
    stdout: bytes = b""
    stderr: tuple[bytes, ...] = ()
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


def c(text: str) -> bytes:
    return m.compile_c(text)


def cases() -> dict[str, Case]:
    return {
        "hello": Case(
            m.compile_c(m.ROOT / "examples" / "hello" / "hello.c", "-DVERSION=2"),
            0,
            b"hello, you: this is version 2\nargument 1: a b\nargument 2: --c\n"
            b"new in version 2: the square root of 2 is about 1.414214\nthere are 303 primes below 2000\n",
            options=("--env", "WHO=you"),
            arguments=("a b", "--c"),
        ),
        "exit code": Case(c("int main(void) { return 7; }"), 7),
        "no last newline": Case(
            c('#include <stdio.h>\nint main(void) { fputs("half", stdout); fputs("err", stderr); }'),
            0,
            b"half",
            (b"err",),
        ),
        "trap": Case(m.module(m.UNREACHABLE), 134, stderr=(b"wasel: trap: unreachable", b"function 0")),
        "unknown import": Case(m.module(m.NOP, imports=(("env", "nope"),)), 3, stderr=(b"env", b"nope")),
        "fuel": Case(m.module(m.LOOP_FOR_EVER), 124, stderr=(b"fuel exhausted",), options=("--fuel", "100000")),
        "time": Case(m.module(m.LOOP_FOR_EVER), 124, stderr=(b"wasel: ",), options=("--timeout", "0.5")),
    }


@pytest.mark.parametrize("name", ["hello", "exit code", "no last newline", "trap", "unknown import", "fuel", "time"])
def test_run(kernel: str, tmp_path: Path, name: str) -> None:
    case = cases()[name]
    path = tmp_path / "module.wasm"
    path.write_bytes(case.module)
    arguments = ("run", "--on", RUNNERS[kernel], *case.options, str(path), "--", *case.arguments)
    finished = asyncio.run(run_wasel(tmp_path / "state", *arguments))
    assert (finished.code, finished.stdout) == (case.code, case.stdout), finished.stderr.decode()
    for words in case.stderr:
        assert words in finished.stderr
    assert list((tmp_path / "state").glob("devices/*/device.json")) == []
