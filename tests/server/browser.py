# SPDX-License-Identifier: Apache-2.0
"""A fleet server on a port of its own, and Debian's Chromium without a window to look at it.

Fixtures for tests that import them: `site` (a running server), `chromium`, `visit` (a logged-in page of a role; what
the browser complains of fails the test).
"""

from __future__ import annotations

import socket
import threading
import time
from dataclasses import dataclass

import pytest
import uvicorn
from playwright.sync_api import sync_playwright

from fleet import access
from fleet.access import SYSTEM, Role
from fleet.app import create_app
from fleet.auth.password import hash_password
from fleet.settings import Settings
from tests.server.routes import PASSWORD

__all__ = ["chromium", "site", "until", "visit"]

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_MS = 600_000
"""For what a page needs to do; a busy machine is no finding."""
DESKTOP = {"width": 1360, "height": 900}
PHONE = {"width": 390, "height": 844}


def until(page, expression):
    """Wait until an expression is true; from outside, since the pages' policy lets nobody evaluate text inside."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


@dataclass(frozen=True)
class Site:
    url: str
    app: object
    fleet: object


class _Server(uvicorn.Server):
    """Ends the streams that nobody else ends."""

    def __init__(self, app, config):
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets=None):
        self._app.state.fleet.closing.set()
        await super().shutdown(sockets)


@pytest.fixture
def site(tmp_path):
    """A server with a user for each role, called like the role."""
    app = create_app(Settings(data=tmp_path / "fleet", allow_unsigned=True))
    hashed = hash_password(PASSWORD)
    with app.state.fleet.database.write() as session:
        for role in Role:
            access.create_user(session, SYSTEM, role.text, role, hashed)
    guard = app.state.guard
    guard.by_user._burst = guard.by_address._burst = 1e9
    listener = socket.create_server(("127.0.0.1", 0))
    server = _Server(app, uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    try:
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", app, app.state.fleet)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def chromium():
    """The browser of one file's tests: while Playwright runs, no test of this thread can run an event loop."""
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=CHROMIUM, args=list(OPTIONS), timeout=PATIENCE_MS)
        yield browser
        browser.close()


@pytest.fixture
def visit(site, chromium):
    """Give a page of somebody who is logged in; what the browser complains of is in `page.problems`."""
    contexts = []

    def start(role=Role.OPERATOR, *, size=DESKTOP, scheme="light", script="", theme=None):
        context = chromium.new_context(viewport=size, color_scheme=scheme, base_url=site.url, reduced_motion="reduce")
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("console", lambda said: page.problems.append(said.text) if said.type == "error" else None)
        if script:
            context.add_init_script(script)
        if theme:
            context.add_cookies([{"name": "wasel-theme", "value": theme, "url": site.url}])
        page.goto("/login")
        page.get_by_label("Name").fill(role.text)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(lambda url: "/login" not in url)
        return page

    yield start
    for context in contexts:
        context.close()
