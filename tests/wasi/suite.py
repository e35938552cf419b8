# SPDX-License-Identifier: Apache-2.0
"""Programs of a public WASI test suite beside the project: what each is run with and what it must do.

Contract: $WASEL_WASI_TESTSUITE names a checkout of the suite with its prebuilt programs
(https://github.com/WebAssembly/wasi-testsuite, branch prod/testsuite-base). A program `x.wasm` may have an `x.json`:
`args`, `env`, `root` (a directory, preopened as "/"), `stdout`, `exit_code`. Nothing of it is copied into the project.

Does NOT: cover preview 2 and 3 programs.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["FOLDER", "VARIABLE", "Program", "programs"]

VARIABLE = "WASEL_WASI_TESTSUITE"
FOLDER = os.environ.get(VARIABLE)
KNOWN = {"args", "env", "root", "stdout", "exit_code"}


@dataclass(frozen=True)
class Program:
    """One program and what the suite says about it."""

    file: Path
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    root: Path | None = None
    stdout: bytes | None = None
    exit_code: int = 0

    @property
    def name(self) -> str:
        """Language and program."""
        return f"{self.file.parents[2].name}/{self.file.stem}"


def _read(file: Path) -> Program:
    settings = file.with_suffix(".json")
    said = json.loads(settings.read_text()) if settings.exists() else {}
    if said.keys() - KNOWN:
        raise ValueError(f"{settings}: unknown keys {sorted(said.keys() - KNOWN)}: this reader is older than the suite")
    return Program(
        file,
        args=tuple(said.get("args", ())),
        env=tuple(said.get("env", {}).items()),
        root=file.parent / said["root"] if "root" in said else None,
        stdout=said["stdout"].encode() if "stdout" in said else None,
        exit_code=said.get("exit_code", 0),
    )


def programs() -> list[Program]:
    """Every preview1 program of the suite, none where the variable is not set."""
    if not FOLDER:
        return []
    found = sorted(Path(FOLDER).glob("tests/*/testsuite/wasm32-wasip1/*.wasm"))
    if not found:
        raise FileNotFoundError(f"{VARIABLE}={FOLDER}: no tests/*/testsuite/wasm32-wasip1/*.wasm there")
    return [_read(file) for file in found]
