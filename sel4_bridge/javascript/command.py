# SPDX-License-Identifier: Apache-2.0
"""The command `wasel javascript`: a script becomes a module (entry-point group `wasel.commands`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.files import replace_file

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def javascript(
    script: Annotated[Path, typer.Argument(metavar="SCRIPT", help="JavaScript, UTF-8.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Module to write.")],
) -> None:
    """Make a module out of a script and the QuickJS interpreter."""
    from sel4_bridge.javascript import build_module  # noqa: PLC0415 - needs the compiler

    module = build_module(script)
    replace_file(output, module)
    print(f"{output}: {len(module)} bytes")
