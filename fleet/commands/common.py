# SPDX-License-Identifier: Apache-2.0
"""Options and output that the commands of `wasel fleet` share."""

from __future__ import annotations

import datetime as dt
import json as json_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.errors import UsageError
from agent.text import printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet.client import Client

__all__ = ["Json", "Token", "Url", "client", "pairs", "show", "show_table", "when"]

Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="The server; also $WASEL_FLEET_URL.")]
Token = Annotated[str | None, typer.Option("--token", metavar="TOKEN", help="Also $WASEL_FLEET_TOKEN.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def client(url: str | None, token: str | None) -> Client:
    """Make the client of a command."""
    from fleet.client import Access, Client

    return Client(Access.find(url, token))


def show(value: Any) -> None:
    """Print JSON."""
    print(json_module.dumps(value, indent=2, sort_keys=True))


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows; texts from devices and people are made printable."""
    print(table(head, [[printable(str(cell)) for cell in row] for row in rows]))


def when(at_ms: int | None) -> str:
    """Write a time for people."""
    if not at_ms:
        return "never"
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def pairs(entries: Sequence[str] | None) -> dict[str, str]:
    """Read "K=V" entries; a K alone has an empty value."""
    found = {}
    for entry in entries or ():
        key, _, value = entry.partition("=")
        if key in found:
            raise UsageError(f"{key}: comes twice")
        found[key] = value
    return found
