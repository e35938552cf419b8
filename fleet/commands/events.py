# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet events` and `wasel fleet webhook`."""

from __future__ import annotations

from typing import Annotated

import typer

from agent.text import printable
from fleet.commands.common import Json, Token, Url, client, show, show_table, when

__all__ = ["events", "webhooks"]

webhooks = typer.Typer(help="Programs that are told of events.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(metavar="ID", help="As 'webhook list' shows it.")]


def events(
    device: Annotated[str, typer.Option("--device", "-d", metavar="NAME", help="Of this device alone.")] = "",
    rollout: Annotated[int | None, typer.Option("--rollout", metavar="ID", help="Of this rollout alone.")] = None,
    kind: Annotated[str, typer.Option("--kind", help="Beginning of the kind, such as 'rollout.'.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="At most so many.")] = 50,
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print what happened, the newest last."""
    rows = client(url, token).get("/events", device=device, rollout=rollout, kind=kind, limit=limit)
    if json:
        show(rows)
        return
    for row in reversed(rows):
        print(f"{when(row['at_ms'])}  {row['severity']:7}  {row['kind']:18}  {printable(row['text'])}")


@webhooks.command("list")
def list_webhooks(json: Json = False, url: Url = None, token: Token = None) -> None:
    """List webhooks."""
    rows = client(url, token).get("/webhooks")
    if json:
        show(rows)
        return
    show_table(
        ("ID", "URL", "KINDS", "STATE", "WAITING", "LAST ANSWER"),
        [
            (
                row["id"],
                row["url"],
                ",".join(row["kinds"]) or "all",
                "on" if row["enabled"] else "off",
                row["waiting"],
                row["answer"],
            )
            for row in rows
        ],
    )


@webhooks.command()
def add(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="URL that messages are posted to.")],
    kind: Annotated[list[str] | None, typer.Option("--kind", help="Beginning of kinds; default: all.")] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Add a webhook and print the secret that signs its messages: it cannot be read again."""
    print(client(url, token).post("/webhooks", {"url": address, "kinds": kind or []})["secret"])


@webhooks.command()
def enable(number: Number, url: Url = None, token: Token = None) -> None:
    """Try a webhook again that failed too often."""
    client(url, token).post(f"/webhooks/{number}/enable")


@webhooks.command()
def remove(number: Number, url: Url = None, token: Token = None) -> None:
    """Remove a webhook."""
    client(url, token).request("DELETE", f"/webhooks/{number}")
