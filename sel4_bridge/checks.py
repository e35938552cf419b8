# SPDX-License-Identifier: Apache-2.0
"""What engine and bridge tell `wasel doctor`: engine library, C compiler, Microkit SDK."""

from __future__ import annotations

import os
from pathlib import Path

from agent.doctor import Check
from edge_engine.library import LIBRARY
from edge_engine.paths import BUILD, prebuilt
from edge_engine.zig import ToolError, compiler_version
from sel4_bridge.libmicrokit import sdk_board_folder

__all__ = ["checks"]

SDK_VARIABLE = "MICROKIT_SDK"


def _compiler() -> Check:
    try:
        return Check("C compiler", ok=True, detail=f"ziglang {compiler_version()}")
    except ToolError:
        return Check("C compiler", ok=False, detail="ziglang is not installed", fix="pip install 'wasel[compile]'")


def _engine(compiler: Check) -> Check:
    ready = prebuilt("edge_engine", LIBRARY)
    built = BUILD / "host" / LIBRARY
    if ready is not None or built.exists():
        return Check("engine", ok=True, detail=str(ready or built), needed=True)
    return Check("engine", compiler.ok, "is built at first use", "install the wheel, or the compiler", needed=True)


def _sdk() -> Check:
    fix = f"for genuine seL4 unpack the Microkit SDK (2.0.1 or newer) and set {SDK_VARIABLE} to its folder"
    named = os.environ.get(SDK_VARIABLE)
    if not named:
        return Check("Microkit SDK", ok=False, detail=f"{SDK_VARIABLE} is not set", fix=fix)
    try:
        sdk_board_folder(Path(named))
    except FileNotFoundError as error:
        return Check("Microkit SDK", ok=False, detail=str(error), fix=fix)
    return Check("Microkit SDK", ok=True, detail=named)


def checks() -> list[Check]:
    """Facts of what builds and runs modules."""
    compiler = _compiler()
    return [_engine(compiler), compiler, _sdk()]
