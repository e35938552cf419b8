# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet ...`: the server, and everything that the browser does, over HTTP with a token."""

from __future__ import annotations

import typer

from fleet.commands import artifacts, audit, devices, events, rollouts, serve, simulate, users

__all__ = ["app"]

app = typer.Typer(name="fleet", help="A fleet of devices: serve, roll out, watch, stop.", no_args_is_help=True)
app.command()(serve.serve)
app.command()(serve.bootstrap)
app.command()(devices.status)
app.add_typer(devices.devices, name="device")
app.add_typer(devices.claims, name="claim")
app.add_typer(artifacts.artifacts, name="artifact")
app.add_typer(artifacts.trust, name="trust")
app.command()(devices.deploy)
app.command()(devices.clear)
app.add_typer(rollouts.rollouts, name="rollout")
app.command()(events.events)
app.add_typer(events.webhooks, name="webhook")
app.command()(simulate.simulate)
app.add_typer(audit.app, name="audit")
app.add_typer(users.users, name="user")
app.add_typer(users.tokens, name="token")
