# SPDX-License-Identifier: Apache-2.0
"""The command `wasel doctor`: what is here, what is missing, what to do about it.

Exit code 0 if wasel can work at all, 1 if something is missing that nothing works without; what only some commands
need is reported and changes nothing.
"""

from __future__ import annotations

from dataclasses import asdict
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import typer

from agent.commands.options import Json, print_json
from agent.errors import EXIT_FAILURE

if TYPE_CHECKING:
    from agent.doctor import Check

__all__ = ["doctor"]


def _all_checks() -> list[Check]:
    from agent.doctor import Check, agent_checks

    checks = agent_checks()
    for entry in sorted(entry_points(group="wasel.checks"), key=lambda entry: entry.name):
        try:
            checks += entry.load()()
        except ImportError as error:
            checks.append(Check(entry.name, ok=False, detail=f"its part is not installed ({error})"))
    return checks


def doctor(json: Json = False) -> None:
    """Show what wasel finds on this machine, and what to do about what is missing."""
    checks = _all_checks()
    if json:
        print_json([asdict(check) for check in checks])
    else:
        from agent.text import printable, table

        marks = {True: "ok", False: "missing"}
        print(table(("", "WHAT", "FOUND"), [(marks[c.ok], c.name, printable(c.detail)) for c in checks]))
        for check in checks:
            if not check.ok and check.fix:
                print(f"{check.name}: {check.fix}")
    if any(check.needed and not check.ok for check in checks):
        raise typer.Exit(EXIT_FAILURE)
