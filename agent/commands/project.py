# SPDX-License-Identifier: Apache-2.0
"""The commands `wasel new` and `wasel build`: a module's project, made and built."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Folder", "build", "new"]

Folder = Annotated[Path, typer.Argument(metavar="[FOLDER]", help="Project, or its wasel.toml.")]


def new(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make; its last part names the module.")],
    lang: Annotated[str, typer.Option("--lang", help="c, zig, javascript, rust, tinygo or assemblyscript.")] = "c",
    watch: Annotated[
        str | None,
        typer.Option("--watch", metavar="PLACE", help="Then watch it, on a device of its own: sim, qemu, sel4."),
    ] = None,
) -> None:
    """Make a small project: source, build, manifest, test, README."""
    from agent.commands.options import load_place
    from agent.scaffold import LANGUAGES, make_project

    if watch is not None:
        load_place("wasel.devices", watch)  # before there is a project
    names = make_project(name, lang)
    print(f"{name}: a module in {LANGUAGES[lang].title}: {', '.join(names)}")
    if LANGUAGES[lang].needs:
        print(f"needs: {LANGUAGES[lang].needs}")
    if watch is None:
        print(f"next: cd {name} && wasel watch")
        return
    from agent.commands.watch import watch_folder

    print(f"save {name / LANGUAGES[lang].source}, and what is new of it runs", flush=True)
    watch_folder(name, on=watch)


def build(folder: Folder = Path()) -> None:
    """Build a project's module as its wasel.toml says."""
    from agent.build import build_project
    from agent.project import load_project

    file = build_project(load_project(folder))
    print(f"{file}: {file.stat().st_size} bytes")
