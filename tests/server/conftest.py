# SPDX-License-Identifier: Apache-2.0
"""A fleet server inside the test's process, on a database of its own, and clients of every role."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings

from fleet import access
from fleet.access import SYSTEM, Role
from fleet.app import create_app
from fleet.settings import Settings

# A busy machine draws slowly: that is no finding.
settings.register_profile("wasel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wasel")


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("WASEL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def options():
    """Settings that a test changes before it asks for the server."""
    return {}


@pytest.fixture
def server(tmp_path, options):
    app = create_app(Settings(**{"data": tmp_path / "fleet", "allow_unsigned": True, "engine": False} | options))
    with TestClient(app) as http:
        yield http


@pytest.fixture
def fleet(server):
    return server.app.state.fleet


@pytest.fixture
def tokens(fleet):
    """One user and token per role."""
    with fleet.database.write() as session:
        made = {}
        for role in Role:
            user = access.create_user(session, SYSTEM, role.text, role)
            made[role] = access.create_token(session, SYSTEM, user, "test")
        return made


@pytest.fixture
def acting(server, tokens):
    """Ask the API as somebody of a role."""

    def ask(role, method, path, **options):
        headers = {"Authorization": f"Bearer {tokens[role]}"} if role else {}
        return server.request(method, f"/api/v1{path}", headers=headers, **options)

    return ask


@pytest.fixture
def admin(acting):
    return lambda method, path, **options: acting(Role.ADMIN, method, path, **options)
