# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet audit`."""

from __future__ import annotations

import json as json_module
from typing import Annotated

import typer

from fleet.commands.common import Json, Token, Url, client, show, show_table, when
from fleet.errors import FleetError

__all__ = ["app"]

app = typer.Typer(help="The audit log: who did what.", no_args_is_help=True)


@app.command("list")
def list_entries(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    action: Annotated[str, typer.Option("--action", help="Beginning of the action.")] = "",
    actor: Annotated[str, typer.Option("--actor", help="Whose.")] = "",
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List entries, newest first."""
    rows = client(url, token).get("/audit", limit=limit, action=action, actor=actor)
    if json:
        show(rows)
        return
    show_table(
        ("ID", "TIME", "WHO", "WHAT", "TARGET", "DETAIL"),
        [
            (
                row["id"],
                when(row["at_ms"]),
                row["actor"],
                row["action"],
                row["target"],
                json_module.dumps(row["detail"]),
            )
            for row in rows
        ],
    )


@app.command()
def verify(
    expect: Annotated[str | None, typer.Option("--expect", help="A hash noted earlier: must be in the log.")] = None,
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Check the chain of hashes; exit code 1 if it is broken."""
    verdict = client(url, token).get("/audit/verify", expect=expect)
    if json:
        show(verdict)
    if not verdict["good"]:
        raise FleetError(f"audit log: {verdict['why']} ({verdict['count']} entries before it are good)")
    if not json:
        print(f"{verdict['count']} entries, head {verdict['head']}")


@app.command()
def head(url: Url = None, token: Token = None) -> None:
    """Print number and hash of the last entry, to be noted elsewhere."""
    answer = client(url, token).get("/audit/head")
    print(answer["count"], answer["head"])
