# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet ...`: the server, and everything that the browser does, over HTTP with a token."""

from __future__ import annotations

import typer

from fleet.commands import audit, serve, users

__all__ = ["app"]

app = typer.Typer(name="fleet", help="A fleet of devices: serve, roll out, watch, stop.", no_args_is_help=True)
app.command()(serve.serve)
app.command()(serve.bootstrap)
app.add_typer(audit.app, name="audit")
app.add_typer(users.users, name="user")
app.add_typer(users.tokens, name="token")
