# SPDX-License-Identifier: Apache-2.0
"""The reference of all commands, out of the commands themselves.

Commands of parts that are not installed are named as missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.main import get_command

from agent.cli import app
from agent.errors import WaselError
from scripts.reference.text import cell

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command_reference"]

HEAD = """# Commands

Made from the commands themselves. What they end with: [exit codes](exit-codes.md).
"""


def _command(command: Any, path: str, parent: Any) -> Iterator[str]:
    """Yield a section for a command, and for the commands below it."""
    from typer import Context  # noqa: PLC0415

    context = Context(command, info_name=path.rpartition(" ")[2], parent=parent)
    if path != "wasel":
        yield f"\n## `{path}`\n\n{cell(command.help)}\n"
    rows = [one for one in command.get_params(context) if not getattr(one, "hidden", False)]
    rows = [one for one in rows if one.name not in {"help", "install_completion", "show_completion"}]
    if rows and path != "wasel":
        yield "\n| | |\n|---|---|\n"
        records = (one.get_help_record(context) for one in rows)
        yield from (f"| `{' '.join(names.split())}` | {cell(text)} |\n" for names, text in records)
    examples = [line.strip() for line in (command.epilog or "").split("\n\n")[1:]]
    if examples:
        yield "\nFor example:\n\n" + "".join(f"    {line}\n" for line in examples)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        try:
            below = command.get_command(context, name)
        except WaselError as error:
            yield f"\n## `{path} {name}`\n\n{cell(str(error))}\n"
            continue
        yield from _command(below, f"{path} {name}", context)


def command_reference() -> str:
    """Return the page."""
    return HEAD + "".join(_command(get_command(app), "wasel", None))
