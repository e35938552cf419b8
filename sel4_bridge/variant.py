# SPDX-License-Identifier: Apache-2.0
"""Build a device image with other code in some of its domains, for tests and measurements only.

A variant is the device as built, with further C sources linked into the engine or the wasi domain behind `--wrap` of
one function each. The engine's entry stays where the supervisor expects it, because what is added comes last.

Errors: BuildError, ToolError as `sel4_bridge.build`.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES
from edge_engine.zig import DEVICE, ROOT, compile_objects
from sel4_bridge import build
from sel4_bridge.generate import ENGINE_PD_SOURCES, WASI_PD_SOURCES
from sel4_bridge.libmicrokit import link_pd
from sel4_bridge.trust import development

__all__ = ["Change", "build_variant"]

# ruff: noqa: SLF001 - the builder's own parts, put together differently


@dataclass(frozen=True)
class Change:
    """What is added to one domain: sources, and the function that they wrap."""

    domain: str  # "engine" or "wasi"
    sources: tuple[Path, ...]
    wraps: str


def _link(builder: build._Builder, folder: Path, change: Change) -> Path:
    flags: tuple[str, ...] = (f"-Wl,--wrap={change.wraps}",)
    objects: list[Path] = []
    sources = WASI_PD_SOURCES
    if change.domain == "engine":
        engine = ROOT / "build" / "device" / "obj" / "edge_engine"
        objects += compile_objects(ENGINE_SOURCES, engine, DEVICE, ENGINE_FLAGS)
        sources = ENGINE_PD_SOURCES
        flags = (*flags, *build.ENGINE_LINK_FLAGS)
    objects += compile_objects((*sources, *change.sources), folder / "obj" / change.domain, DEVICE, builder.flags())
    return link_pd([*objects, build._runtime()], folder / f"{change.domain}.elf", builder.sdk, flags=flags)


def build_variant(name: str, kernel: str, changes: tuple[Change, ...]) -> Path:
    """Build the device for `kernel` ("standin", "sel4") with those changes; returns the image.

    Raises:
        BuildError: no SDK for genuine seL4, or a change moved the engine's entry.
        ToolError: compiler, linker or `microkit` failed.

    """
    device = build.build_device(kernel)
    folder = ROOT / "build" / "variants" / f"{name}-{kernel}"
    folder.mkdir(parents=True, exist_ok=True)
    for path in device.elves.values():
        shutil.copy(path, folder / path.name)
    sdk = Path(os.environ[build.SDK_VARIABLE]).resolve() if kernel == "sel4" else None
    builder = build._Builder(kernel, sdk, development(build.DEVELOPMENT_KEY))
    for change in changes:
        _link(builder, folder, change)
    entry = build.elf_symbol(device.elves["engine"], build.ENGINE_ENTRY_SYMBOL)
    if build.elf_symbol(folder / "engine.elf", build.ENGINE_ENTRY_SYMBOL) != entry:
        raise build.BuildError(f"variant {name} moves the engine's entry: give its sources last")
    if sdk is not None:
        return build._sel4_image(sdk, device.system_file, folder, sorted(folder.glob("*.elf")))
    from qemu.image import build_image  # noqa: PLC0415  qemu/ is only needed for the stand-in kernel

    build_image(device.system_file, folder, folder / "image.bin")
    return folder / "image.bin"
