# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet serve` and `wasel fleet bootstrap`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["bootstrap", "serve"]

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Database, artifacts, keys.")]
DatabaseUrl = Annotated[str, typer.Option("--database", metavar="URL", help="postgresql://...; default: SQLite.")]


def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: one that is free.")] = 8080,
    data: Data = None,
    database: DatabaseUrl = "",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes; more than one need PostgreSQL.")] = 1,
    certificate: Annotated[str, typer.Option("--certificate", metavar="PEM", help="With --key: HTTPS.")] = "",
    key: Annotated[str, typer.Option("--key", metavar="PEM", help="Private key of --certificate.")] = "",
    broker: Annotated[
        str, typer.Option("--broker", metavar="URL", help="A broker of one's own; default: one is started.")
    ] = "",
    broker_ca: Annotated[str, typer.Option("--broker-ca", metavar="PEM", help="Of --broker mqtts://.")] = "",
    broker_host: Annotated[str, typer.Option("--broker-host", help="Where devices find the broker.")] = "",
    broker_port: Annotated[
        int, typer.Option("--broker-port", min=0, max=65535, help="Port of the broker that is started; 0: a free one.")
    ] = 8883,
    trust: Annotated[
        list[Path] | None, typer.Option("--trust", metavar="KEY.pub", help="Take modules signed by this key.")
    ] = None,
    twin_key: Annotated[
        list[Path] | None, typer.Option("--twin-key", metavar="KEY.pub", help="Take reports of this twin gate.")
    ] = None,
    twin: Annotated[
        str, typer.Option("--twin", help="Twin gate under QEMU: standin, sel4 (needs $MICROKIT_SDK), or off.")
    ] = "auto",
    no_twin: Annotated[
        bool, typer.Option("--no-require-twin", help="Let rollouts leave the twin gate out (development).")
    ] = False,
    allow_unsigned: Annotated[bool, typer.Option("--allow-unsigned", help="For development images only.")] = False,
) -> None:
    """Run the fleet server until SIGTERM or Ctrl-C."""
    import asyncio

    from fleet.broker import BrokerSettings
    from fleet.server import Listening, serve
    from fleet.settings import Settings

    settings = Settings.load()
    changes: dict[str, object] = {
        "data": data and data.absolute(),
        "database": database,
        "broker_url": broker,
        "broker_ca": broker_ca,
        "trust_keys": ":".join(str(path.absolute()) for path in trust or ()),
        "twin_keys": ":".join(str(path.absolute()) for path in twin_key or ()),
        "allow_unsigned": allow_unsigned,
        "twin": {"auto": "sel4" if os.environ.get("MICROKIT_SDK") else "standin", "off": ""}.get(twin, twin),
    }
    settings = dataclasses.replace(settings, **{name: value for name, value in changes.items() if value})  # type: ignore[arg-type]
    if no_twin:
        settings = dataclasses.replace(settings, require_twin=False)
    own = None if settings.broker_url else BrokerSettings(host=broker_host or host, port=broker_port)
    listening = Listening(host, port, workers, certificate, key)

    def say(text: str) -> None:
        print(f"wasel fleet: {text}", flush=True)

    asyncio.run(serve(settings, listening, own, say))


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
