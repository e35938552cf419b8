# SPDX-License-Identifier: Apache-2.0
"""The specification's test scripts, converted for machines by wast2json of wabt.

wast2json of wabt 1.0.32 refuses five ``table_*`` scripts because they leave out the table index of table.get, set,
size, grow and fill, which the text format allows when it is 0. ``complete_table_indices`` writes the index; the
scripts themselves stay as they are.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "spec-tests"

TOKEN = re.compile(
    r"""
    ;;[^\n]*                     # line comment
    | \(;.*?;\)                  # block comment
    | "(?:[^"\\]|\\.)*"          # string
    | [^\s()";]+                 # word
    | [()]
    | \s+
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
TABLE_WORDS = {"table.get", "table.set", "table.size", "table.grow", "table.fill"}


def spec_tests_folder() -> Path | None:
    """Folder with ``core`` and ``simd``: WASEL_SPEC_TESTS, or ``shared/spec-tests`` beside the repository."""
    named = os.environ.get("WASEL_SPEC_TESTS")
    folder = Path(named) if named else ROOT.parent / "shared" / "spec-tests"
    return folder if folder.is_dir() else None


def missing_tools() -> str | None:
    """Why scripts cannot be converted here, or None."""
    if shutil.which("wast2json") is None or shutil.which("wat2wasm") is None:
        return "wast2json and wat2wasm are not installed (Debian: apt-get install wabt)"
    return None


def complete_table_indices(text: str) -> str:
    """Write the table index 0 where a table instruction leaves it out."""
    tokens = TOKEN.findall(text)
    out: list[str] = []
    for at, token in enumerate(tokens):
        out.append(token)
        if token in TABLE_WORDS:
            following = next((later for later in tokens[at + 1 :] if not later.isspace()), "")
            if not re.match(r"\$|[0-9]", following):
                out.append(" 0")
    return "".join(out)


@cache
def _tool_version() -> str:
    return subprocess.run(["wast2json", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout


def convert(script: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Folder with the modules of a script, and its commands. Kept in build/ until script or tool change."""
    text = complete_table_indices(script.read_text())
    key = hashlib.sha256(f"{_tool_version()}\0{text}".encode()).hexdigest()[:16]
    folder = CACHE / f"{script.stem}-{key}"
    listing = folder / "commands.json"
    if not listing.exists():
        folder.mkdir(parents=True, exist_ok=True)
        source = folder / script.name
        source.write_text(text)
        made = folder / "new.json"
        subprocess.run(
            ["wast2json", str(source), "-o", str(made)], check=True, capture_output=True, text=True, timeout=300
        )
        made.replace(listing)
    commands: list[dict[str, Any]] = json.loads(listing.read_text())["commands"]
    return folder, commands


def assemble(text: str) -> bytes:
    """Binary of a module in the text format."""
    key = hashlib.sha256(text.encode()).hexdigest()[:16]
    output = CACHE / f"text-{key}.wasm"
    if not output.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        source = output.with_suffix(".wat")
        source.write_text(text)
        made = output.with_suffix(".new")
        subprocess.run(
            ["wat2wasm", "--enable-tail-call", str(source), "-o", str(made)],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
        made.replace(output)
    return output.read_bytes()
