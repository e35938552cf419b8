# SPDX-License-Identifier: Apache-2.0
"""The command `wasel agent`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.commands.options import PortUrl

__all__ = ["agent"]

DEFAULT_BROKER = "mqtt://127.0.0.1:1883"
Broker = Annotated[
    str | None,
    typer.Option(
        "--broker",
        envvar="WASEL_BROKER",
        metavar="URL",
        help=f"MQTT broker: mqtt://HOST:PORT, mqtts://...; default: the enrolled one, else {DEFAULT_BROKER}.",
    ),
]
Ca = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Authority of broker and server, PEM.")]
Certificate = Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="Our certificate, PEM.")]
Key = Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key, PEM.")]
User = Annotated[str | None, typer.Option("--user", metavar="NAME", help="User at the broker.")]
PasswordFile = Annotated[Path | None, typer.Option("--password-file", metavar="FILE", help="The user's password.")]
Enroll = Annotated[
    str | None, typer.Option("--enroll", envvar="WASEL_FLEET", metavar="URL", help="Fleet server that gives the login.")
]
Claim = Annotated[
    str | None, typer.Option("--claim", envvar="WASEL_CLAIM", metavar="TOKEN", help="Claim token for --enroll.")
]
Serial = Annotated[str | None, typer.Option("--serial", metavar="TEXT", help="Serial number for --enroll.")]
Sockets = Annotated[
    bool, typer.Option("--sockets", help="Carry the modules' sockets, as their policies allow, over this network.")
]


def agent(
    device: Annotated[str, typer.Option("--device", "-d", metavar="NAME", help="The device's name.")],
    port: PortUrl = None,
    broker: Broker = None,
    state: Annotated[Path | None, typer.Option("--state", metavar="DIR", help="Folder of the runtime files.")] = None,
    ca: Ca = None,
    tls_cert: Certificate = None,
    tls_key: Key = None,
    user: User = None,
    password_file: PasswordFile = None,
    enroll: Enroll = None,
    claim: Claim = None,
    serial: Serial = None,
    sockets: Sockets = False,
) -> None:
    """Hold a device's port and make it what the broker's desired state says, until SIGTERM."""
    from agent.errors import UsageError
    from agent.login import read_password
    from agent.registry import check_name
    from agent.session import Session, serve_device

    if enroll is None and (claim is not None or serial is not None):
        raise UsageError("--claim, --serial: go with --enroll")
    if broker is None and user is not None:
        raise UsageError("--user: goes with --broker")
    session = Session(
        check_name(device),
        port=port,
        state=state,
        broker=broker,
        user=user,
        password=read_password(password_file) if password_file is not None else None,
        ca=ca,
        certificate=tls_cert,
        key=tls_key,
        server=enroll,
        claim=claim,
        serial=serial,
        sockets=sockets,
    )
    asyncio.run(serve_device(session, DEFAULT_BROKER))
