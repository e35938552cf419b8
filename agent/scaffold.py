# SPDX-License-Identifier: Apache-2.0
"""Make a new module project from a template: what `wasel new` does.

Every file of `agent/templates/common` and of the language's folder, without its suffix `.in`, with `@NAME@`,
`@LANGUAGE@`, `@NEEDS@` and `@SOURCE@` replaced. All of it appears at once, or nothing: it is written into a folder
beside the new one, which is then renamed.

Errors: UsageError for a name or language that cannot be, or where something is in the way.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

__all__ = ["LANGUAGES", "Language", "make_project"]

SUFFIX = ".in"
HIDDEN = {"gitignore": ".gitignore"}
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")  # a manifest's name, and a Cargo package's


@dataclass(frozen=True)
class Language:
    """A language that modules can be written in."""

    name: str  # of --lang and of the template's folder
    title: str
    source: str
    needs: str = ""
    """What must be installed besides wasel; empty: nothing."""


LANGUAGES = {
    language.name: language
    for language in (
        Language("c", "C", "src/main.c"),
        Language("zig", "Zig", "src/main.zig"),
        Language("javascript", "JavaScript", "src/main.js"),
        Language("rust", "Rust", "src/main.rs", "rustup (rustup.rs) and `rustup target add wasm32-wasip1`"),
        Language("tinygo", "Go", "main.go", "TinyGo 0.35 or newer (tinygo.org/getting-started)"),
        Language("assemblyscript", "AssemblyScript", "src/main.ts", "Node.js, then `npm install` in this folder"),
    )
}


def _template_files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Relative path and text of every template file."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _template_files(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(SUFFIX):
            name = entry.name.removesuffix(SUFFIX)
            yield prefix + HIDDEN.get(name, name), entry.read_text(encoding="utf-8")


def make_project(folder: Path, lang: str) -> list[str]:
    """Make the folder, named as its module, and return its files' names.

    Raises:
        UsageError: the language or the name cannot be, or the folder exists.

    """
    language = LANGUAGES.get(lang)
    if language is None:
        raise UsageError(f"--lang {lang}: not supported; there is: {', '.join(LANGUAGES)}")
    folder = folder.absolute()
    if not NAME.fullmatch(folder.name):
        raise UsageError(
            f"{folder.name!r}: a name has small letters, digits, '-' and '_', begins with a letter, at most 64"
        )
    if folder.exists():
        raise UsageError(f"{folder}: exists already; choose another name")
    if not folder.parent.is_dir():
        raise UsageError(f"{folder.parent}: no such folder")
    words = {
        "@NAME@": folder.name,
        "@LANGUAGE@": language.title,
        "@NEEDS@": f" It needs {language.needs}." if language.needs else "",
        "@SOURCE@": language.source,
    }
    templates = files("agent") / "templates"
    names = []
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for relative, template in (*_template_files(templates / "common"), *_template_files(templates / language.name)):
            text = template
            for word, value in words.items():
                text = text.replace(word, value)
            path = temporary / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            names.append(relative)
        temporary.chmod(0o755)
        os.rename(temporary, folder)  # noqa: PTH104 - fails if somebody made it meanwhile, Path.replace could replace
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return sorted(names)
