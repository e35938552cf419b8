# SPDX-License-Identifier: Apache-2.0
"""The project file of a module, `wasel.toml`: how it is built, from what, and how it runs.

`wasel new` writes one, `wasel build` and `wasel watch` read it::

    file = "build/blink.wasm"          # what the build makes
    build = ["{python}", "-m", "ziglang", "cc", "...", "-o", "build/blink.wasm"]
    sources = ["src", "wasel.toml"]    # what `wasel watch` looks at: files, and folders with all below them
    install = "..."                    # optional: what to install where the build's program is missing
    [run]
    args = ["first"]
    env = { WHO = "you" }

In `build`, `{python}` is the Python that runs wasel and `{wasel}` the command itself. Unknown keys are refused.
Contract: `parse_project` is pure; `load_project` reads; nothing is built here. Errors: ProjectError, naming the key.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from agent.errors import UsageError

__all__ = ["PROJECT_FILE", "Project", "ProjectError", "load_project", "parse_project"]

PROJECT_FILE = "wasel.toml"
MAX_BUILD_WORDS = 256
MAX_SOURCES = 256
KEYS = {"file", "build", "sources", "install", "run"}
RUN_KEYS = {"args", "env"}


class ProjectError(UsageError):
    """The project file is missing or wrong; the text names the key and what it wants."""


@dataclass(frozen=True)
class Project:
    """A parsed project file."""

    folder: Path
    file: Path
    """The module that the build makes."""
    build: tuple[str, ...]
    """Argument vector, run in `folder`; {python} and {wasel} are not replaced yet."""
    sources: tuple[Path, ...]
    install: str = ""
    args: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()


def _texts(where: str, value: Any, most: int, least: int = 0) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and "\0" not in one for one in value):
        raise ProjectError(f"{where}: a list of texts is needed, as in ['one', 'two']")
    if not least <= len(value) <= most:
        raise ProjectError(f"{where}: {len(value)} texts; {least} to {most} are possible")
    return tuple(value)


def _inside(where: str, text: Any) -> PurePosixPath:
    """Return a relative path that does not leave the folder."""
    if not isinstance(text, str) or not text or "\0" in text:
        raise ProjectError(f"{where}: a path is needed")
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        raise ProjectError(f"{where}: {text!r} leads out of the project's folder")
    return path


def parse_project(text: str, folder: Path, name: str = PROJECT_FILE) -> Project:
    """Check a project file's text."""
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{name}: is not TOML: {error}") from error
    run = fields.get("run", {})
    if not isinstance(run, dict):
        raise ProjectError(f"{name}: run: a table is needed, as in [run]")
    for unknown in (*sorted(fields.keys() - KEYS), *(f"run.{key}" for key in sorted(run.keys() - RUN_KEYS))):
        raise ProjectError(f"{name}: {unknown}: no such key; there is: {', '.join(sorted(KEYS))}, run.args, run.env")
    for needed in ("file", "build", "sources"):
        if needed not in fields:
            raise ProjectError(f"{name}: {needed} is missing")
    env = run.get("env", {})
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise ProjectError(f"{name}: run.env: a table of texts is needed, as in {{ KEY = 'value' }}")
    install = fields.get("install", "")
    if not isinstance(install, str):
        raise ProjectError(f"{name}: install: a text is needed")
    sources = _texts(f"{name}: sources", fields["sources"], MAX_SOURCES, 1)
    return Project(
        folder=folder,
        file=folder / _inside(f"{name}: file", fields["file"]),
        build=_texts(f"{name}: build", fields["build"], MAX_BUILD_WORDS, 1),
        sources=tuple(folder / _inside(f"{name}: sources", source) for source in sources),
        install=install,
        args=_texts(f"{name}: run.args", run.get("args", []), MAX_BUILD_WORDS),
        env=tuple(env.items()),
    )


def load_project(folder: Path) -> Project:
    """Read the project file of a folder, or of the file itself."""
    path = folder if folder.is_file() else folder / PROJECT_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ProjectError(f"{path}: there is none; 'wasel new NAME --lang c' makes a project") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error
    return parse_project(text, path.parent, str(path))
