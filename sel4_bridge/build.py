# SPDX-License-Identifier: Apache-2.0
"""Build a device image: every protection domain and the system around them, for either kernel.

    python -m sel4_bridge.build --kernel standin
    python -m sel4_bridge.build --kernel sel4 --sdk PATH      (or MICROKIT_SDK in the environment)

Contract: writes only below `build/`; what has not changed is not built again. `build_device` returns the image's path.
The stand-in image comes from `qemu.image`, the genuine one from the SDK's own `microkit` tool; both from the same
`.system` file and, up to the libmicrokit they are linked with, the same sources.

Errors::

    BuildError          an SDK is missing, a source list is empty, a symbol is not where it should be
    edge_engine.zig.ToolError   compiler, linker or `microkit` failed; carries what it printed
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import WaselError
from edge_engine.files import write_if_changed
from edge_engine.paths import BUILD, ROOT
from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES
from edge_engine.zig import DEVICE, Target, ToolError, compile_objects, run_tool
from sel4_bridge.cell_tables import cell_tables_header
from sel4_bridge.generate import ENGINE_PD_SOURCES, INCLUDE_FLAGS, WASI_PD_SOURCES, write_generated
from sel4_bridge.hardware import DEFAULT_HARDWARE, HARDWARE, Hardware, find_hardware
from sel4_bridge.libmicrokit import (
    PD_FLAGS,
    include_flags,
    link_pd,
    sdk_board_folder,
    sdk_ipc_buffer,
    sdk_withholds_timer,
)
from sel4_bridge.littlefs import LITTLEFS
from sel4_bridge.sdist import SdistError
from sel4_bridge.system import device_system, write_layout_header, write_system_file
from sel4_bridge.trust import Anchors, anchors_header, development, limits_header, release

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "CRYPTO_SOURCES",
    "DEVELOPMENT_KEY",
    "DOMAIN_SOURCES",
    "ENGINE_ENTRY_SYMBOL",
    "KERNELS",
    "STORE_SOURCES",
    "SUPERVISOR_SOURCES",
    "BuildError",
    "Change",
    "Device",
    "build_device",
    "compile_zig",
    "elf_symbol",
    "write_sources",
]

BRIDGE = ROOT / "sel4_bridge"
GENERATED = BUILD / "generated"
KERNELS = ("standin", "sel4")
ENGINE_ENTRY_SYMBOL = "sb_engine_entry"
ENGINE_LINK_FLAGS = (f"-Wl,-u,{ENGINE_ENTRY_SYMBOL}",)  # nothing refers to it, the linker must not drop it
SDK_VARIABLE = "MICROKIT_SDK"
TOOL_TIMEOUT_S = 120.0

# The supervisor without Microkit, as the host tests build it too; pd.c is the protection domain's glue.
SUPERVISOR_SOURCES = tuple(
    BRIDGE / "supervisor" / f"{name}.c"
    for name in (
        "admit",
        "cbor",
        "cells",
        "code",
        "console_frame",
        "encoding",
        "engine",
        "images",
        "inflate",
        "keep",
        "launch",
        "limits",
        "link_frame",
        "log_drain",
        "log_history",
        "mail",
        "manifest",
        "meter",
        "module_file",
        "modules",
        "os_group",
        "refusal",
        "restart",
        "signature",
        "slots",
        "smp",
        "strict_map",
        "supervisor",
        "throttle",
        "trial",
        "trust",
        "watchdog",
    )
)
STORE_SOURCES = tuple(
    BRIDGE / "store" / f"{name}.c" for name in ("data", "flash", "littlefs", "store")
)  # without Microkit
CRYPTO_SOURCES = (BRIDGE / "supervisor" / "sha256.zig", BRIDGE / "supervisor" / "ed25519.zig")
DEVELOPMENT_KEY = BUILD / "keys" / "development"

# Every domain's sources by its name in the description, C, assembler and Zig; the host simulator builds the same ones.
# The engine's also has the sources of edge_engine, which have flags of their own.
DOMAIN_SOURCES: dict[str, tuple[Path, ...]] = {
    "timer": (BRIDGE / "timer" / "timer.c",),
    "uart": (BRIDGE / "uart" / "uart.c",),
    "store": (*STORE_SOURCES, BRIDGE / "store" / "pd.c"),
    "supervisor": (*SUPERVISOR_SOURCES, BRIDGE / "supervisor" / "pd.c", *CRYPTO_SOURCES),
    "wasi": WASI_PD_SOURCES,
    "engine": ENGINE_PD_SOURCES,
}


@dataclass(frozen=True)
class Change:
    """Further C sources in one domain, behind `--wrap` of one function: for tests and measurements only."""

    domain: str
    sources: tuple[Path, ...]
    wraps: str


class BuildError(Exception):
    """The image cannot be built; the text says what is missing."""


@dataclass(frozen=True)
class Device:
    """What was built: the image to load, its ELF files by name, and the system file."""

    kernel: str
    image: Path
    elves: dict[str, Path]
    system_file: Path


def elf_symbol(path: Path, name: str) -> int:
    """Value of a symbol in a 64-bit little-endian ELF file; BuildError if there is none."""
    data = path.read_bytes()
    if data[:6] != b"\x7fELF\x02\x01":
        raise BuildError(f"{path}: not a 64-bit little-endian ELF file")
    (table,) = struct.unpack_from("<Q", data, 0x28)
    size, count = struct.unpack_from("<HH", data, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    symbol_table = 2  # SHT_SYMTAB
    for section in sections:
        if section[1] != symbol_table:
            continue
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name_at, _info, _other, index, value, _size = struct.unpack_from("<IBBHQQ", data, at)
            end = data.index(b"\0", names + name_at)
            if index != 0 and data[names + name_at : end] == name.encode():
                return int(value)
    raise BuildError(f"{path}: no symbol {name}")


def _stamped(output: Path, parts: Sequence[bytes]) -> tuple[bool, Path, bytes]:
    """Whether `output` was made from exactly `parts`; also the stamp's path and content for after making it."""
    stamp = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest().encode()
    stamp_path = output.with_name(output.name + ".stamp")
    fresh = output.exists() and stamp_path.exists() and stamp_path.read_bytes() == stamp
    return fresh, stamp_path, stamp


def compile_zig(
    source: Path, output: Path, target: Target, command: str = "build-obj", extra: Sequence[str] = ()
) -> Path:
    """Compile one Zig file to an object (or, with `build-lib`, a static library) in release mode."""
    arguments = [command, "-target", target.triple, *target.flags]
    arguments += ["-O", "ReleaseFast", "-fstrip", *extra, str(source)]
    fresh, stamp_path, stamp = _stamped(output, [source.read_bytes(), " ".join(arguments).encode()])
    if fresh:
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(f".{os.getpid()}.{output.name}")
    run_tool([*arguments, f"-femit-bin={temporary}"])
    temporary.replace(output)
    temporary.with_name(temporary.name + ".o").unlink(missing_ok=True)  # build-lib leaves its object beside the library
    write_if_changed(stamp_path, stamp)
    return output


def _runtime() -> Path:
    """Zig's compiler runtime as a static library: memcpy and the like for freestanding code."""
    source = GENERATED / "runtime.zig"
    write_if_changed(source, b"")
    return compile_zig(source, BUILD / "device" / "libruntime.a", DEVICE, "build-lib", ("-fcompiler-rt",))


@dataclass(frozen=True)
class _Builder:
    """Everything that the protection domains of one image share."""

    kernel: str
    sdk: Path | None
    anchors: Anchors
    folder: Path
    """Of everything that is built for this image alone."""
    hardware: Hardware = DEFAULT_HARDWARE
    changes: tuple[Change, ...] = ()

    def flags(self) -> tuple[str, ...]:
        return (
            *PD_FLAGS,
            "-g0",
            f"-I{self.folder / 'generated'}",  # first: a release image has its own sb_trust.h
            *INCLUDE_FLAGS,
            f"-I{BRIDGE / 'include' / 'freestanding'}",
            *include_flags(self.sdk, board=self.hardware.name),
        )

    def domain(self, name: str) -> Path:
        """Compile and link one protection domain."""
        sources = [source for source in self.sources(name) if source.suffix != ".zig"]
        objects = compile_objects(sources, self.folder / "obj" / name, DEVICE, self.flags())
        for source in DOMAIN_SOURCES[name]:
            if source.suffix == ".zig":
                objects.append(compile_zig(source, BUILD / "device" / "obj" / f"{source.stem}.o", DEVICE))
        return self.link(name, objects)

    def sources(self, name: str) -> tuple[Path, ...]:
        """Return the sources of a domain, with what is added to it."""
        added = (source for change in self.changes if change.domain == name for source in change.sources)
        return (*DOMAIN_SOURCES[name], *added)

    def link(self, name: str, objects: Sequence[Path], flags: tuple[str, ...] = ()) -> Path:
        """Link one protection domain."""
        wraps = tuple(f"-Wl,--wrap={change.wraps}" for change in self.changes if change.domain == name)
        output = self.folder / f"{name}.elf"
        return link_pd([*objects, _runtime()], output, self.sdk, flags=(*flags, *wraps), board=self.hardware.name)

    def engine(self) -> Path:
        """Link the engine's domain: edge_engine with its own flags, the bridge's part with everybody's."""
        objects = compile_objects(ENGINE_SOURCES, BUILD / "device" / "obj" / "edge_engine", DEVICE, ENGINE_FLAGS)
        objects += compile_objects(self.sources("engine"), self.folder / "obj" / "engine", DEVICE, self.flags())
        return self.link("engine", objects, ENGINE_LINK_FLAGS)

    def supervisor(self, engine: Path) -> Path:
        """Link the supervisor, which must know where the engines start."""
        header = (
            "/* SPDX-License-Identifier: Apache-2.0 */\n"
            "/* Generated from engine.elf: where an engine is restarted. */\n#pragma once\n\n"
            f"#define SB_ENGINE_ENTRY {elf_symbol(engine, ENGINE_ENTRY_SYMBOL):#x}u\n"
        )
        write_if_changed(self.folder / "generated" / "sb_engine_entry.h", header)
        write_if_changed(self.folder / "generated" / "sb_trust.h", anchors_header(self.anchors))
        return self.domain("supervisor")


def _sel4_image(sdk: Path, board: str, system_file: Path, folder: Path, elves: Sequence[Path]) -> Path:
    """Run the SDK's `microkit` tool; the result is loaded at 0x70000000."""
    image = folder / "loader.img"
    tool = sdk / "bin" / "microkit"
    command = [str(tool), str(system_file), "--search-path", str(folder), "--board", board, "--config", "release"]
    given = [system_file, tool, *sorted((sdk_board_folder(sdk, board=board) / "elf").iterdir()), *elves]
    fresh, stamp_path, stamp = _stamped(image, [" ".join(command).encode(), *(path.read_bytes() for path in given)])
    if fresh:
        return image
    temporary = folder / f".{os.getpid()}.loader.img"
    command += ["-o", str(temporary), "-r", str(folder / "report.txt")]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TOOL_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as failure:
        raise ToolError(command, str(failure)) from failure
    if done.returncode != 0:
        raise ToolError(command, done.stdout + done.stderr)
    temporary.replace(image)
    write_if_changed(stamp_path, stamp)
    return image


def _checked_sdk(kernel: str, sdk: Path | None, hardware: Hardware) -> Path | None:
    if kernel not in KERNELS:
        raise BuildError(f"unknown kernel {kernel!r}: one of {', '.join(KERNELS)}")
    if kernel == "standin" and hardware != DEFAULT_HARDWARE:
        raise BuildError(f"the stand-in kernel simulates the board {DEFAULT_HARDWARE.name} only, not {hardware.name}")
    if kernel == "standin" and sdk is None:
        return None
    chosen = sdk if sdk is not None else Path(os.environ[SDK_VARIABLE]) if SDK_VARIABLE in os.environ else None
    if chosen is None:
        raise BuildError(f"genuine seL4 needs the Microkit SDK 2.0.1: set {SDK_VARIABLE} to its folder, or give --sdk")
    try:
        withheld = sdk_withholds_timer(chosen, hardware.name)
    except FileNotFoundError as missing:
        raise BuildError(str(missing)) from missing
    if withheld:
        raise BuildError(
            f"{chosen}: its kernel for {hardware.name} keeps the timer from protection domains; "
            "build that SDK with KernelArmExportPCNTUser and KernelArmExportPTMRUser on"
        )
    return chosen.resolve()


def build_device(
    kernel: str,
    sdk: Path | None = None,
    *,
    board: str = DEFAULT_HARDWARE.name,
    root: Path | None = None,
    folder: Path | None = None,
    changes: tuple[Change, ...] = (),
) -> Device:
    """Build everything for one kernel, "standin" or "sel4", and one board of sel4_bridge.hardware.

    With an SDK the domains are linked with its libmicrokit, for the stand-in kernel too. With a root document it is a
    release image, which runs nothing unsigned; without, a development image. `folder` None: the
    one of that kernel, board and kind below build/device; with changes it needs one of its own. BuildError, ToolError;
    UsageError for a board that there is not.
    """
    hardware = find_hardware(board)
    checked = _checked_sdk(kernel, sdk, hardware)
    with _alone():
        try:
            anchors = development(DEVELOPMENT_KEY) if root is None else release(root)
        except WaselError as error:
            raise BuildError(str(error)) from error
        kind = kernel if anchors.development else f"{kernel}-release"
        kind += "" if hardware == DEFAULT_HARDWARE else f"-{hardware.name}"
        return _build(_Builder(kernel, checked, anchors, folder or BUILD / "device" / kind, hardware, changes))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Keep other builders out: the supervisor is built from where the engine ended up, so the two must not mix."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with (BUILD / "device.lock").open("w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def ipc_buffer_header(sdk: Path | None, hardware: Hardware) -> str:
    """Return `sb_ipc_buffer.h`: where a libmicrokit has the IPC buffer."""
    return (
        "/* SPDX-License-Identifier: Apache-2.0 */\n"
        "/* Generated from the libmicrokit that is linked. */\n#pragma once\n\n"
        f"#define SB_IPC_BUFFER {sdk_ipc_buffer(sdk, hardware.name)}\n"
    )


def write_sources() -> None:
    """Write every generated source and header that domains of any kernel need, but SB_ENGINE_ENTRY."""
    try:
        LITTLEFS.fetch()
    except SdistError as failure:
        raise BuildError(str(failure)) from failure
    write_generated()
    write_layout_header(GENERATED / "sb_layout.h")
    write_if_changed(GENERATED / "sb_ipc_buffer.h", ipc_buffer_header(None, DEFAULT_HARDWARE))
    write_if_changed(GENERATED / "sb_board.h", DEFAULT_HARDWARE.header())
    write_if_changed(GENERATED / "sb_cell_tables.h", cell_tables_header())
    write_if_changed(GENERATED / "sb_trust_limits.h", limits_header())
    write_if_changed(GENERATED / "sb_trust.h", anchors_header(development(DEVELOPMENT_KEY)))


def _build(builder: _Builder) -> Device:
    write_sources()
    system_file = builder.folder / "wasel.system"
    write_system_file(system_file, builder.hardware)
    write_if_changed(
        builder.folder / "generated" / "sb_ipc_buffer.h", ipc_buffer_header(builder.sdk, builder.hardware).encode()
    )
    write_if_changed(builder.folder / "generated" / "sb_board.h", builder.hardware.header())

    engine = builder.engine()
    elves = {
        "timer": builder.domain("timer"),
        "uart": builder.domain("uart"),
        "store": builder.domain("store"),
        "supervisor": builder.supervisor(engine),
        "wasi": builder.domain("wasi"),
        "engine": engine,
    }
    wanted = {domain.image for domain in device_system(builder.hardware).all_domains()}
    if wanted != {path.name for path in elves.values()}:
        raise BuildError(f"the system description names {sorted(wanted)}, built were {sorted(elves)}")
    return Device(builder.kernel, _image(builder, system_file, elves), elves, system_file)


def _image(builder: _Builder, system_file: Path, elves: dict[str, Path]) -> Path:
    if builder.kernel == "sel4" and builder.sdk is not None:
        return _sel4_image(builder.sdk, builder.hardware.name, system_file, builder.folder, list(elves.values()))
    from qemu.image import build_image  # noqa: PLC0415  qemu/ is only needed for the stand-in kernel

    image = builder.folder / "image.bin"
    build_image(system_file, builder.folder, image)
    return image


def _loaded_size(path: Path) -> int:
    """Bytes of an ELF file that are loaded: without zeroed memory and symbols."""
    data = path.read_bytes()
    (table,) = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    headers = [struct.unpack_from("<IIQQQQQQ", data, table + i * size) for i in range(count)]
    return sum(header[5] for header in headers if header[0] == 1)  # PT_LOAD: p_filesz


def main() -> int:
    """Build what the command line names and print sizes; 1 with one line of reason if that fails."""
    parser = argparse.ArgumentParser(description="Build a wasel device image.")
    parser.add_argument("--kernel", choices=KERNELS, default="standin")
    boards = [hardware.name for hardware in HARDWARE]
    parser.add_argument("--board", choices=boards, default=DEFAULT_HARDWARE.name)
    parser.add_argument("--sdk", type=Path, help=f"folder of the Microkit SDK (default: {SDK_VARIABLE})")
    parser.add_argument("--release", type=Path, metavar="ROOT", help="trust this root document, run nothing unsigned")
    options = parser.parse_args()
    try:
        device = build_device(options.kernel, options.sdk, board=options.board, root=options.release)
    except (BuildError, ToolError) as failure:
        print(f"wasel: {failure}", file=sys.stderr)
        return 1
    for name, path in device.elves.items():
        print(f"{name:12} {_loaded_size(path):9,} bytes")
    print(f"{'image':12} {device.image.stat().st_size:9,} bytes  {device.image}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
