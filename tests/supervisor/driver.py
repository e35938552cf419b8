# SPDX-License-Identifier: Apache-2.0
"""A program under sanitizers that does commands: a letter, the size of what follows, and that; answers a number."""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

STOP_TIMEOUT_S = 10


@dataclass
class Driver:
    """The process."""

    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, executable: Path, *arguments: str) -> Self:
        return cls(subprocess.Popen([str(executable), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE))

    def stop(self) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.stdout.close()
        return self.process.wait(timeout=STOP_TIMEOUT_S)

    def ask(self, letter: str, data: bytes) -> int:
        assert self.process.stdin
        self.process.stdin.write(letter.encode() + struct.pack("<I", len(data)) + data)
        self.process.stdin.flush()
        return int(struct.unpack("<I", self.read(4))[0])

    def read(self, size: int) -> bytes:
        assert self.process.stdout
        data = self.process.stdout.read(size)
        assert len(data) == size, "the program died: see its sanitizer report above"
        return data
