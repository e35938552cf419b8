# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet serve` and `wasel fleet bootstrap`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bootstrap", "serve"]

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Database, artifacts, keys.")]
DatabaseUrl = Annotated[str, typer.Option("--database", metavar="URL", help="postgresql://...; default: SQLite.")]


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8080,
    data: Data = None,
    database: DatabaseUrl = "",
) -> None:
    """Run the fleet server until SIGTERM or Ctrl-C."""
    import uvicorn

    from fleet.app import create_app
    from fleet.settings import Settings

    settings = Settings.load()
    if data is not None:
        settings = dataclasses.replace(settings, data=data)
    if database:
        settings = dataclasses.replace(settings, database=database)
    uvicorn.run(create_app(settings), host=host, port=port, log_level="warning")


def bootstrap(
    name: Annotated[str, typer.Argument(help="Name of the first admin.")],
    data: Data = None,
    database: DatabaseUrl = "",
    url: Annotated[str, typer.Option("--url", help="The server's address, noted beside the token.")] = (
        "http://127.0.0.1:8080"
    ),
) -> None:
    """Make the first admin and a token, directly in the database; the token is kept for the commands of this user."""
    from sqlalchemy import select

    from agent.errors import UsageError
    from fleet import access
    from fleet.client import Access, save_access
    from fleet.database import Database, upgrade
    from fleet.models import User
    from fleet.settings import Settings

    settings = Settings.load()
    if data is not None:
        settings = dataclasses.replace(settings, data=data)
    if database:
        settings = dataclasses.replace(settings, database=database)
    upgrade(settings.database_url)
    store = Database(settings.database_url)
    with store.write() as session:
        if session.scalar(select(User.id).where(User.role == "admin").limit(1)) is not None:
            raise UsageError("there is an admin already: let them make more with 'wasel fleet user add'")
        user = access.create_user(session, access.SYSTEM, name, access.Role.ADMIN)
        token = access.create_token(session, access.SYSTEM, user, "bootstrap")
    store.close()
    path = save_access(Access(url, token))
    print(f"{name} is admin; the token for 'wasel fleet ...' is in {path}")
