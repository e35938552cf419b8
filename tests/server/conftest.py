# SPDX-License-Identifier: Apache-2.0
"""A fleet server inside the test's process, on a database of its own, and clients of every role."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings

from fleet import access
from fleet.access import SYSTEM, Role
from fleet.app import create_app
from fleet.database import Database
from fleet.settings import Settings

# A busy machine draws slowly: that is no finding.
settings.register_profile("wasel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wasel")


PROGRAMS = Path("/usr/lib/postgresql")
OPTIONS = ("-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=100")


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


def program(name):
    found = shutil.which(name) or next((str(path) for path in sorted(PROGRAMS.glob(f"*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"PostgreSQL's {name} is not installed: apt-get install postgresql")
    return found


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL of our own, on a Unix socket; it does not run as root, so as nobody if need be."""
    initdb, server = program("initdb"), program("postgres")
    as_nobody = ["setpriv", "--reuid=nobody", "--clear-groups"] if os.geteuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="wasel-pg-", dir="/tmp"))
    if as_nobody:
        shutil.chown(folder, "nobody")
    made = [*as_nobody, initdb, "-D", f"{folder}/data", "-U", "wasel", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(made, check=True, capture_output=True, cwd="/")
    with (folder / "log").open("wb") as log:
        command = [*as_nobody, server, "-D", f"{folder}/data", "-k", str(folder), *OPTIONS]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    try:
        for _ in range(600):
            if (folder / ".s.PGSQL.5432").exists() and process.poll() is None:
                break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield folder
    finally:
        process.send_signal(signal.SIGINT)  # "fast shutdown": does not wait for clients to go
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres):
    """An empty database of the test's own."""
    name = f"t{os.urandom(6).hex()}"
    base = f"postgresql+psycopg://wasel@/{{}}?host={postgres}"
    admin = Database(base.format("postgres"))
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    admin.close()
    return base.format(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request, tmp_path):
    """An empty database, once of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty' / 'test.db'}"
    return request.getfixturevalue("postgres_url")
