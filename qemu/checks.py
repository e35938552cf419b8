# SPDX-License-Identifier: Apache-2.0
"""What the emulated side tells `wasel doctor`: QEMU and the broker's program."""

from __future__ import annotations

import os
import shutil
import subprocess

from agent.doctor import Check
from qemu.boards import BOARDS

__all__ = ["checks"]

TIMEOUT_S = 10.0
SYSTEM_PATHS = "/usr/sbin:/usr/local/sbin"  # Debian keeps mosquitto where users don't look


def _program(title: str, program: str, package: str, purpose: str, option: str) -> Check:
    path = shutil.which(program) or shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SYSTEM_PATHS}")
    fix = f"{purpose}: apt-get install {package}"
    if path is None:
        return Check(title, ok=False, detail=f"{program} is not installed", fix=fix)
    try:
        done = subprocess.run([path, option], capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Check(title, ok=False, detail=f"{path}: {error}", fix=fix)
    said = (done.stdout or done.stderr).strip().splitlines()
    return Check(title, ok=True, detail=f"{path}: {said[0] if said else 'says nothing'}")


def checks() -> list[Check]:
    """Facts of QEMU and mosquitto."""
    programs = {board.program: board.package for board in BOARDS}
    return [
        *(_program("QEMU", name, package, "for devices under QEMU", "--version") for name, package in programs.items()),
        _program("mosquitto", "mosquitto", "mosquitto", "for a broker of our own", "-h"),
    ]
