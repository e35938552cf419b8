# SPDX-License-Identifier: Apache-2.0
"""One call of `wasel agent`: find the broker's login (given, enrolled before, or enrolled now), then run the agent.

Contract: what the command line says about the broker comes first, then `agent/login.json`, then enrolment, then the
default broker. A login from enrolment that the broker does not take any more is renewed once with the device's key;
one that was given is an error.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.daemon import Agent, AgentConfig
from agent.enroll_client import Enrolment, enroll
from agent.errors import LoginRefusedError
from agent.login import Login, load_login, tls_context
from agent.registry import device_dir
from agent.text import printable

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Session", "serve_device"]


@dataclass(frozen=True)
class Session:
    """What the command line said."""

    device: str
    port: str | None = None
    state: Path | None = None
    broker: str | None = None
    user: str | None = None
    password: str | None = None
    ca: Path | None = None
    """Of broker and server, PEM."""
    certificate: Path | None = None
    key: Path | None = None
    server: str | None = None
    """Fleet server to enrol at."""
    claim: str | None = None
    serial: str | None = None
    sockets: bool = False

    def config(self, login: Login) -> AgentConfig:
        """Give the agent's configuration for a login."""
        ca = self.ca if self.ca is not None else login.ca
        wants_tls = login.broker.startswith("mqtts")
        tls = tls_context(ca, self.certificate, self.key) if wants_tls else None
        return AgentConfig(self.device, login.url(), self.port, self.state, tls=tls, sockets=self.sockets)


def _note(text: str) -> None:
    print(f"wasel agent: {printable(text)}", file=sys.stderr, flush=True)


async def serve_device(session: Session, default_broker: str) -> None:
    """Run the agent until SIGTERM.

    Raises:
        WaselError: no login, no broker, no device; the text says what to do.

    """
    folder = device_dir(session.device, session.state) / "agent"
    enrolment = None
    if session.server is not None:
        enrolment = Enrolment(session.server, session.device, session.claim, session.serial, session.ca)
    if session.broker is not None:
        await Agent(session.config(Login(session.broker, session.user, session.password))).run()
        return
    login, fresh = load_login(folder / "login.json"), False
    if login is None and enrolment is not None:
        login, fresh = await enroll(enrolment, folder, _note), True
    if login is None:
        login, fresh = Login(default_broker), True
    try:
        await Agent(session.config(login)).run()
    except LoginRefusedError as error:
        if enrolment is None or fresh:
            raise
        _note(f"{error}; the login is renewed")
        await Agent(session.config(await enroll(enrolment, folder, _note))).run()
