# SPDX-License-Identifier: Apache-2.0
"""Migrations: from the first schema with rows in every table, by many at once, never back down."""

import shutil
import stat
import subprocess
import sys

import pytest
from sqlalchemy import text

from agent.errors import UsageError
from fleet import database as database_module
from fleet.database import Database, SchemaError, revisions, upgrade
from tests.server.rows import contents, fill

RECREATE = '''
"""Alter a table that others refer to, which SQLite does by making it anew."""
import sqlalchemy as sa
from alembic import op
revision = "9999"
down_revision = {before!r}
def upgrade():
    with op.batch_alter_table("devices") as batch:
        batch.alter_column("note", type_=sa.String(2000))
        batch.add_column(sa.Column("colour", sa.String(16), nullable=False, server_default="grey"))
'''


def test_an_upgrade_from_the_first_schema_keeps_every_row(empty_url):
    upgrade(empty_url, revisions()[0])
    before = fill(empty_url)
    assert all(len(rows) == 2 for rows in before.values()), "every table has rows"
    upgrade(empty_url)
    after = contents(empty_url)
    for table, rows in before.items():
        for old, new in zip(rows, after[table], strict=True):
            assert {name: new[name] for name in old if name in new} == {n: v for n, v in old.items() if n in new}, table


def test_a_table_that_is_made_anew_takes_no_rows_of_others_along(empty_url, tmp_path, monkeypatch):
    """Dropping the old table, SQLite would delete what refers to it."""
    upgrade(empty_url)
    before = fill(empty_url)
    folder = tmp_path / "migrations"
    shutil.copytree(database_module.MIGRATIONS, folder)
    (folder / "versions" / "9999.py").write_text(RECREATE.format(before=revisions()[-1]))
    monkeypatch.setattr(database_module, "MIGRATIONS", folder)
    upgrade(empty_url)
    after = contents(empty_url)
    assert [row.pop("colour") for row in after["devices"]] == ["grey", "grey"]
    assert after == before


def test_servers_that_start_at_once_migrate_once(empty_url):
    program = "import sys; from fleet.database import upgrade; sys.stdin.read(1); upgrade(sys.argv[1])"
    servers = [
        subprocess.Popen(
            [sys.executable, "-c", program, empty_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(5)
    ]
    for server in servers:
        server.stdin.write("!")
        server.stdin.flush()
    ended = [(server.communicate(timeout=120)[1], server.returncode) for server in servers]
    assert [code for _, code in ended] == [0] * 5, ended
    assert contents(empty_url)["devices"] == []


def test_a_newer_schema_is_refused_by_name_and_left_alone(empty_url):
    upgrade(empty_url)
    before = fill(empty_url)
    database = Database(empty_url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9876'"))
    database.close()
    with pytest.raises(SchemaError, match=rf"schema 9876.*knows none after {revisions()[-1]}.*restore a backup"):
        upgrade(empty_url)
    assert contents(empty_url) == before


def test_a_newer_schema_ends_the_server_with_the_reason(tmp_path):
    data = tmp_path / "data"
    url = f"sqlite:///{data / 'fleet.db'}"
    upgrade(url)
    database = Database(url)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9876'"))
    database.close()
    command = [
        sys.executable,
        "-m",
        "agent",
        "fleet",
        "serve",
        "--data",
        str(data),
        "--port",
        "0",
        "--broker-port",
        "0",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == UsageError.exit_code
    assert "schema 9876" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_is_away_is_named_without_its_password(tmp_path):
    with pytest.raises(UsageError, match="database") as caught:
        upgrade(f"postgresql+psycopg://ann:secret@/none?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_nobody_else_reads_the_database(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    file = folder / "fleet.db"
    file.touch(mode=0o644)
    upgrade(f"sqlite:///{file}")
    database = Database(f"sqlite:///{file}")
    with database.read() as session:
        session.execute(text("SELECT count(*) FROM devices"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in folder.glob("fleet.db*")}
    database.close()
    assert modes.pop("fleet.db-turn", 0) & 0o022 == 0
    assert set(modes.values()) == {0}
