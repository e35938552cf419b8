# SPDX-License-Identifier: Apache-2.0
"""How protection domains are compiled and linked, against our own small libmicrokit or the genuine SDK.

Contract: ``link_pd`` makes one ELF file from objects; ``include_flags`` is what their compilation needs. With ``sdk``
(the folder of an unpacked Microkit SDK) its headers and library are used. The linker script is ours in both cases: the
SDK's names no .got, which lld then puts on the page of the IPC buffer, and it makes constants executable.
Does not know the sources or the system of anyone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edge_engine.paths import BUILD
from edge_engine.zig import DEVICE, WARNINGS, compile_objects, link
from sel4_bridge.hardware import DEFAULT_HARDWARE

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "IPC_BUFFER_SYMBOL",
    "LIBMICROKIT_INCLUDE",
    "LIBMICROKIT_SOURCES",
    "LINKER_SCRIPT",
    "PD_FLAGS",
    "SDK_BOARD",
    "include_flags",
    "link_pd",
    "sdk_board_folder",
    "sdk_ipc_buffer",
    "sdk_withholds_timer",
]

_HERE = Path(__file__).resolve().parent
LIBMICROKIT_INCLUDE = _HERE / "include"
LIBMICROKIT_SOURCES = (_HERE / "src" / "crt0.S", _HERE / "src" / "main.c")
LINKER_SCRIPT = _HERE / "microkit.ld"
SDK_BOARD = DEFAULT_HARDWARE.name

PD_FLAGS = (
    "-std=gnu17",  # C17; the SDK's headers say asm
    "-O2",
    "-ffreestanding",
    "-fno-strict-aliasing",
    "-fno-sanitize=all",
    "-fno-stack-protector",
    "-fno-pic",
    "-ffunction-sections",
    "-fdata-sections",
    *WARNINGS,
)


def sdk_board_folder(sdk: Path, config: str = "release", board: str = SDK_BOARD) -> Path:
    """Folder of one board and configuration in an unpacked SDK; FileNotFoundError when it isn't one."""
    folder = sdk / "board" / board / config
    if not (folder / "lib" / "libmicrokit.a").is_file():
        raise FileNotFoundError(f"{folder}: not a Microkit SDK with this board (no lib/libmicrokit.a)")
    return folder


def sdk_withholds_timer(sdk: Path, board: str) -> bool:
    """Whether the SDK says that its kernel keeps the generic timer from protection domains; ours must have it.

    An SDK that says nothing of it, or elsewhere, is given the benefit of the doubt.
    """
    path = sdk_board_folder(sdk, board=board) / "include" / "kernel" / "gen_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return any(settings.get(name) is False for name in ("EXPORT_PCNT_USER", "EXPORT_PTMR_USER"))


IPC_BUFFER_SYMBOL = "__sel4_ipc_buffer_obj"


def sdk_ipc_buffer(sdk: Path | None, board: str = SDK_BOARD) -> str:
    """Where libmicrokit has the IPC buffer, as a C expression: a symbol until Microkit 2.2, then a fixed address."""
    if sdk is None or IPC_BUFFER_SYMBOL.encode() in _archive(sdk, "release", board).read_bytes():
        return f"&{IPC_BUFFER_SYMBOL}"
    return "(seL4_IPCBuffer *)(seL4_UserVSpaceTop & ~0xffful)"


def _archive(sdk: Path, config: str, board: str) -> Path:
    return sdk_board_folder(sdk, config, board) / "lib" / "libmicrokit.a"


def include_flags(sdk: Path | None = None, config: str = "release", board: str = SDK_BOARD) -> tuple[str, ...]:
    """Compiler flags that make ``#include <microkit.h>`` work."""
    folder = LIBMICROKIT_INCLUDE if sdk is None else sdk_board_folder(sdk, config, board) / "include"
    return ("-isystem", str(folder))


def link_pd(
    objects: Iterable[Path],
    output: Path,
    sdk: Path | None = None,
    config: str = "release",
    flags: tuple[str, ...] = (),
    *,
    board: str = SDK_BOARD,
) -> Path:
    """Link a protection domain's objects with libmicrokit; returns ``output``. ToolError if the linker refuses."""
    common = ("-nostdlib", "-static", "-Wl,--gc-sections", "-Wl,--build-id=none", "-Wl,-z,max-page-size=4096", *flags)
    if sdk is not None:
        archive = _archive(sdk, config, board)
        arguments = (*common, str(archive), f"-Wl,-T,{LINKER_SCRIPT}")
        return link(objects, output, DEVICE, arguments, (LINKER_SCRIPT, archive))
    own = compile_objects(LIBMICROKIT_SOURCES, BUILD / "device" / "libmicrokit", DEVICE, (*PD_FLAGS, *include_flags()))
    return link([*objects, *own], output, DEVICE, (*common, f"-Wl,-T,{LINKER_SCRIPT}"), (LINKER_SCRIPT,))
