# SPDX-License-Identifier: Apache-2.0
"""`wasel compile FILE -o OUT`: adds native code to a module (entry point group `wasel.commands`).

Contract: the module is validated first; functions that stay interpreted are named with the reason. Errors are
`agent.errors.WaselError`. The same module gives the same bytes. A manifest or signature is dropped with a warning: sign
the result.
"""

from __future__ import annotations

import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TaskID

from agent.errors import RefusedError, UsageError, WaselError
from edge_engine.aot.compiler import TARGETS, compile_module
from edge_engine.aot.reader import ModuleReader
from edge_engine.aot.section import LAST_SECTIONS, add_section, sections
from edge_engine.errors import ModuleError
from edge_engine.module import Module
from edge_engine.zig import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["add_native_code", "app"]

app = typer.Typer()
SHOWN = 10  # functions that stay interpreted, by name


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    try:
        Module(data)
    except ModuleError as error:
        raise RefusedError(f"{file}: {error}") from error
    return data


def add_native_code(
    data: bytes, machine: str, progress: Callable[[int, int], None] = lambda _done, _all: None, *, fuel: bool = False
) -> bytes:
    """Return an unsigned module with native code for a machine, as it is for one that no code can be made for.

    Entry point `native` of `wasel.compilers`.

    Raises:
        RefusedError: it is no valid module.
        WaselError: the compiler failed.

    """
    if machine not in TARGETS:
        return data
    try:
        Module(data)
        compiled = compile_module(data, machine, fuel=fuel, progress=progress)
    except ModuleError as error:
        raise RefusedError(str(error)) from error
    except (ToolError, OSError) as error:
        raise WaselError(f"the compiler failed: {error}") from error
    return add_section(data, compiled.code) if compiled.compiled else data


@app.command("compile")
def compile_(
    file: Annotated[Path, typer.Argument(help="A WebAssembly module.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The module with native code.")],
    target: Annotated[
        list[str] | None, typer.Option("--target", help=f"Machine, may be repeated: {', '.join(sorted(TARGETS))}.")
    ] = None,
    fuel: Annotated[bool, typer.Option("--fuel", help="Count fuel, so that the module can run with a limit.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Compile even if the result is at hand.")] = False,
) -> None:
    """Add native code for one or more machines; the module stays valid everywhere."""
    targets = list(dict.fromkeys(target or ["aarch64"]))
    unknown = [name for name in targets if name not in TARGETS]
    if unknown:
        raise UsageError(f"no such target: {', '.join(unknown)}; there are: {', '.join(sorted(TARGETS))}")
    module = _read(file)
    if any((name or "").startswith(LAST_SECTIONS) for name, _ in sections(module)):
        print(f"wasel: {file}: its manifest and signature are dropped; sign {output}", file=sys.stderr)
    made = module
    console = Console(stderr=True)
    lines = []
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for name in targets:
            task = bar.add_task(f"compiling for {name}", total=None)

            def progress(done: int, everything: int, task: TaskID = task) -> None:
                bar.update(task, completed=done, total=everything)

            try:
                compiled = compile_module(module, name, fuel=fuel, use_cache=not no_cache, progress=progress)
            except (ToolError, OSError) as error:
                raise WaselError(f"{file}: the compiler failed: {error}") from error
            made = add_section(made, compiled.code)
            source = ModuleReader(module)
            size = len(compiled.code.contents(bytes(32)))
            share = size / max(source.code_bytes + source.data_bytes, 1)
            lines.append(
                f"{name}: {compiled.compiled} functions, {size} bytes, {share:.2f} of the module's code and data"
            )
            lines += [
                f"  function {index} stays interpreted: {why}" for index, why in list(compiled.refused.items())[:SHOWN]
            ]
            if len(compiled.refused) > SHOWN:
                lines.append(f"  and {len(compiled.refused) - SHOWN} more stay interpreted")
    temporary = output.with_name(f".{output.name}.new")
    temporary.write_bytes(made)
    temporary.replace(output)
    print("\n".join(lines))
