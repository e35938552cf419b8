# SPDX-License-Identifier: Apache-2.0
"""Run the C compiler of the ``ziglang`` wheel: compile a list of sources, link, and say what went wrong.

Contract: objects are rebuilt when their source, a header they include, their flags or the compiler changed, and not
otherwise; outputs appear atomically (temporary file, then ``os.replace``); at most ``JOBS`` compilers run at a time.
Does not know what is being built: the lists of sources and flags belong to the callers.

Errors::

    ToolError       the tool ended with a failure; carries the command and what it printed
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import TYPE_CHECKING

from edge_engine.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "DEVICE",
    "HOST",
    "JOBS",
    "ROOT",
    "TIMEOUT_S",
    "WARNINGS",
    "WASI",
    "Compilation",
    "Target",
    "ToolError",
    "compile_objects",
    "compiler_version",
    "link",
    "recorded",
    "run_tool",
]

WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wmissing-prototypes", "-Werror")  # of all C of this project
JOBS = 2  # compilers at a time
TIMEOUT_S = 600.0  # of one run of a tool


class ToolError(Exception):
    """A tool failed: ``command`` is its argument list, ``log`` what it printed on both streams."""

    def __init__(self, command: Sequence[str], log: str) -> None:
        self.command = tuple(command)
        self.log = log
        super().__init__(f"{' '.join(self.command)}\n{log.rstrip()}")


@dataclass(frozen=True)
class Target:
    """What the compiler builds for: a triple as ``zig cc --target`` takes it."""

    name: str
    triple: str
    flags: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        """Compiler arguments that select this target."""
        return [f"--target={self.triple}", *self.flags]


# An explicit triple takes glibc's headers from the wheel, so that no libc-dev package is needed, and an old enough
# version runs on every machine that is likely to be met.
HOST = Target("host", f"{platform.machine()}-linux-gnu.2.31")
DEVICE = Target("device", "aarch64-freestanding-none", ("-mcpu=cortex_a53",))
WASI = Target("wasi", "wasm32-wasi")


@cache
def _program() -> str:
    """Path of the wheel's program: a Python that only starts it would cost as much as a small file's compilation."""
    compiler_version()
    program = distribution("ziglang").locate_file("ziglang/zig")
    return str(program)


def run_tool(arguments: Sequence[str], *, cwd: Path | None = None) -> str:
    """Run ``zig ARGUMENTS`` and return what it printed; ToolError if it fails or takes too long."""
    command = [_program(), *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as late:
        raise ToolError(command, f"not finished after {TIMEOUT_S:.0f} s") from late
    if done.returncode != 0:
        raise ToolError(command, done.stdout or f"ended with {done.returncode}")
    return done.stdout


@cache
def compiler_version() -> str:
    """Version of the compiler, from the wheel's metadata: running it would cost more than the check is worth.

    ToolError if it is not installed.
    """
    try:
        return version("ziglang")
    except PackageNotFoundError:
        raise ToolError(["ziglang"], "the C compiler is not installed: pip install 'wasel[compile]'") from None


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _dependencies(path: Path) -> list[Path]:
    """Files named in a make-style dependency file; empty if there is none."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    _, _, names = text.replace("\\\n", " ").partition(": ")
    return [Path(name.replace("\0", " ")) for name in names.replace("\\ ", "\0").split()]


def _identity(file: Path) -> str:
    """Content of a file; size alone for the compiler's own headers, which come and go with its version."""
    return str(file.stat().st_size) if "ziglang" in file.parts else _digest(file)


def _stamp(arguments: Sequence[str], files: Iterable[Path]) -> str:
    """Digest of a command, the compiler and its input files."""
    total = hashlib.sha256("\0".join([compiler_version(), *arguments]).encode())
    for file in files:
        try:
            total.update(f"\0{file}\0{_identity(file)}".encode())
        except FileNotFoundError:
            total.update(b"missing")
    return total.hexdigest()


def _is_fresh(output: Path, stamp: str) -> bool:
    try:
        return output.exists() and output.with_name(output.name + ".stamp").read_text() == stamp
    except FileNotFoundError:
        return False


def _finish(temporary: Path, output: Path, stamp: str) -> None:
    temporary.replace(output)
    note = temporary.with_name(temporary.name + ".stamp")
    note.write_text(stamp)
    note.replace(output.with_name(output.name + ".stamp"))


def _absolute_inputs(files: list[Path]) -> list[Path]:
    return sorted({file if file.is_absolute() else ROOT / file for file in files})


def _object_name(source: Path) -> str:
    """Make a name that two sources of the same name in different folders don't share."""
    try:
        relative = source.resolve().relative_to(ROOT)
    except ValueError:
        relative = Path(source.name)
    return "_".join(relative.parts) + ".o"


def _compile(source: Path, out_dir: Path, arguments: Sequence[str]) -> Path:
    output = out_dir / _object_name(source)
    dependency_file = output.with_suffix(".d")
    command = ["c++" if source.suffix in {".cc", ".cpp"} else "cc", *arguments, "-c", str(source)]
    if _is_fresh(output, _stamp(command, _absolute_inputs([source, *_dependencies(dependency_file)]))):
        return output
    temporary = output.with_name(f".{output.name}.{os.getpid()}.o")
    temporary_dependencies = temporary.with_suffix(".d")
    try:
        run_tool([*command, "-o", str(temporary), "-MD", "-MF", str(temporary_dependencies)], cwd=ROOT)
        if temporary_dependencies.exists():
            temporary_dependencies.replace(dependency_file)
        _finish(temporary, output, _stamp(command, _absolute_inputs([source, *_dependencies(dependency_file)])))
    finally:
        temporary.unlink(missing_ok=True)
        temporary_dependencies.unlink(missing_ok=True)
    return output


@dataclass(frozen=True)
class Compilation:
    """One source as a build compiles it; ``output`` is the object it becomes."""

    source: Path
    output: Path
    target: Target
    flags: tuple[str, ...]

    def inputs(self) -> list[Path]:
        """Every file that was read to make the object, the source among them; call it when the object is there."""
        return _absolute_inputs([self.source, *_dependencies(self.output.with_suffix(".d"))])


_records: list[list[Compilation]] = []


@contextlib.contextmanager
def recorded() -> Iterator[list[Compilation]]:
    """Write down what builds compile, or would have if it were stale, until the block ends: for tools that read C."""
    record: list[Compilation] = []
    _records.append(record)
    try:
        yield record
    finally:
        _records.remove(record)


def compile_objects(sources: Iterable[Path], out_dir: Path, target: Target, flags: Sequence[str] = ()) -> list[Path]:
    """Compile C (or assembler) sources into objects in ``out_dir``; returns the objects in the order of the sources."""
    out_dir.mkdir(parents=True, exist_ok=True)
    sources = [Path(source) for source in sources]
    for record in _records:
        record += [Compilation(source, out_dir / _object_name(source), target, tuple(flags)) for source in sources]
    arguments = [*target.arguments(), *flags]
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        return list(pool.map(lambda source: _compile(source, out_dir, arguments), sources))


def link(
    objects: Iterable[Path], output: Path, target: Target, flags: Sequence[str] = (), inputs: Iterable[Path] = ()
) -> Path:
    """Link objects into ``output``; ``inputs`` are further files (a linker script) whose change means linking again."""
    output.parent.mkdir(parents=True, exist_ok=True)
    files = [Path(item) for item in objects]
    command = ["cc", *target.arguments(), *(str(item) for item in files), *flags]
    stamp = _stamp(command, [*files, *(Path(item) for item in inputs)])
    if _is_fresh(output, stamp):
        return output
    temporary = output.with_name(f".{os.getpid()}.{output.name}")
    try:
        run_tool([*command, "-o", str(temporary)], cwd=ROOT)
        _finish(temporary, output, stamp)
    finally:
        temporary.unlink(missing_ok=True)
    return output
