# SPDX-License-Identifier: Apache-2.0
"""Builds the C runners: wasel and wasm3 for this machine, and all three, wasel, wasm3 and native code, for another.

Each is bench/runner/main.c with one engine. wasm3's sources come from pywasm3's archive (MIT), fetched when asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Self

from bench.fetch import sdist_folder
from bench.kernels import BUILD, FLAGS, KERNELS, SOURCES
from edge_engine.generate import generated_sources
from edge_engine.sources import ENGINE_FLAGS, ENGINE_INCLUDE
from edge_engine.zig import HOST, ROOT, WARNINGS, Target, compile_objects, link

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "HOST_PLACE",
    "EngineSources",
    "Place",
    "build_native",
    "build_runner",
    "build_wasel",
    "build_wasm3",
    "engine_sources",
]

RUNNER = ROOT / "bench" / "runner"
WASM3_VERSION = "0.5.0"
WASM3_FLAGS = (
    "-std=gnu11",
    "-O3",
    "-g0",
    "-w",
    "-DNDEBUG",
    "-DNASSERTS",
    "-fomit-frame-pointer",
    "-fno-stack-protector",
    "-fno-sanitize=all",
)
RUNNER_FLAGS = (
    "-std=c17",
    "-D_GNU_SOURCE",
    "-O2",
    *WARNINGS,
    "-fno-sanitize=all",
    f"-I{RUNNER}",
)


@dataclass(frozen=True)
class Place:
    """Where a runner runs: what to build for, and what else the build needs there."""

    name: str
    target: Target
    flags: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    extra_sources: tuple[Path, ...] = ()
    extra_flags: tuple[str, ...] = ()  # of those


HOST_PLACE = Place("host", HOST)


@dataclass(frozen=True)
class EngineSources:
    """The engine's C files and flags, with generated ones of the bench's own: others may be building meanwhile."""

    files: tuple[Path, ...]
    flags: tuple[str, ...]

    @classmethod
    def generate(cls, folder: Path, superinstructions: int | None = None) -> Self:
        """Generate into a folder, with the first so many superinstructions, or all."""
        generated = generated_sources(folder, limit=superinstructions)
        written = sorted((ENGINE_INCLUDE.parent / "src").glob("*.c"))
        return cls((*written, *generated), (f"-I{folder}", *ENGINE_FLAGS))


@cache
def engine_sources() -> EngineSources:
    """Generate once in a run, so that everything in it is built from the same files."""
    return EngineSources.generate(BUILD / "generated")


def _build(name: str, place: Place, engine: Sequence[Path], flags: Sequence[str]) -> Path:
    folder = BUILD / place.name
    sources = [RUNNER / "main.c", RUNNER / f"{name}.c"]
    runner = compile_objects(sources, folder / name, place.target, [*RUNNER_FLAGS, *place.flags, *flags])
    extra = compile_objects(place.extra_sources, folder / "extra", place.target, place.extra_flags)
    return link([*runner, *engine, *extra], folder / f"runner-{name}", place.target, place.link_flags)


def build_wasel(place: Place, sources: EngineSources | None = None) -> Path:
    """Build wasel's engine from the tree, or a variant of it from other sources."""
    sources = sources or engine_sources()
    engine = compile_objects(sources.files, BUILD / place.name / "engine", place.target, sources.flags)
    return _build("wasel", place, engine, [f"-I{ENGINE_INCLUDE}"])


def build_wasm3(place: Place) -> Path:
    """Build wasm3; BenchError if its sources can't be fetched."""
    folder = sdist_folder("pywasm3", WASM3_VERSION) / "wasm3"
    engine = compile_objects(
        sorted(folder.glob("*.c")), BUILD / place.name / "wasm3-objects", place.target, WASM3_FLAGS
    )
    return _build("wasm3", place, engine, [f"-isystem{folder}"])


def build_native(place: Place) -> Path:
    """Build the kernels themselves, linked into one program."""
    objects: list[Path] = []
    for kernel in KERNELS:
        flags = [*FLAGS, f"-Drun=run_{kernel.name}"]
        objects += compile_objects([SOURCES / f"{kernel.name}.c"], BUILD / place.name / "kernels", place.target, flags)
    names = " ".join(f"X({kernel.name})" for kernel in KERNELS)
    return _build("native", place, objects, [f"-DBENCH_KERNELS={names}"])


BUILDERS = {"wasel": build_wasel, "wasm3": build_wasm3, "native": build_native}


def build_runner(name: str, place: Place = HOST_PLACE) -> Path:
    """Build the runner called ``name`` (a key of BUILDERS); ToolError if the compiler fails."""
    return BUILDERS[name](place)
