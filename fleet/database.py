# SPDX-License-Identifier: Apache-2.0
"""The database: sessions to read and to write, on SQLite (WAL) or PostgreSQL.

Contract: `read` gives a session whose changes are never kept; `write` gives one that commits at the end or leaves
nothing. On SQLite there is one writer at a time, in all processes: each waits in line for a lock on the file `...-turn`
beside the database, where SQLite's own waiting would have it look again now and then, and be passed by; a transaction
begins as IMMEDIATE. Sessions are for one thread and never held over network traffic.

What `write` committed survives a power cut: SQLite syncs its log with each such transaction (`synchronous=FULL`). With
`durable=False` it does not wait for the disk (`NORMAL`): for what devices report, which they report again. A power cut
then takes the last such transactions back, all of them that follow one another, and never one that was durable.
PostgreSQL is told the same with `synchronous_commit`.

Does NOT create tables: that is `upgrade`, which runs the Alembic migrations in fleet/migrations. Any number of servers
may call it at once: one migrates, the others wait and find nothing left to do. A schema that this program does not
know is a newer program's: SchemaError, and nothing is changed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from agent.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection, Engine

__all__ = ["Database", "SchemaError", "check_schema", "revisions", "upgrade"]

BUSY_TIMEOUT_MS = 60_000
POOL_SIZE = 8
"""Connections kept; as many again may be opened for a moment."""
CACHE_KIB = 8192
"""Page cache of one SQLite connection."""
MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x7761736D
"""PostgreSQL's advisory lock of whoever migrates; SQLite has the file `...-turn`."""


class SchemaError(UsageError):
    """The database is another program's: a newer version's, or none of ours."""


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            _keep_private(Path(parsed.database))
        engine = create_engine(parsed, pool_size=POOL_SIZE, max_overflow=2 * POOL_SIZE, pool_timeout=60)
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    engine = create_engine(parsed, pool_size=POOL_SIZE, max_overflow=2 * POOL_SIZE, pool_timeout=60, pool_pre_ping=True)
    event.listen(engine, "connect", _postgres_connect)
    return engine


def _keep_private(file: Path) -> None:
    """See that nobody else reads the database; SQLite gives its other files the rights of this one."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with contextlib.suppress(PermissionError):  # somebody else's file, which one may still be let into
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if file.stat().st_mode & 0o077:
            file.chmod(0o600)


def _postgres_connect(connection: Any, _record: object) -> None:
    connection.autocommit = True
    connection.execute("SET jit = off")  # it spends 200 ms on compiling what then takes 10, for counting 10,000 devices
    connection.autocommit = False


def _sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_sqlite_begin` does
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"cache_size=-{CACHE_KIB}",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    options = connection.get_execution_options()
    if not options.get("wasel_write", False):
        connection.exec_driver_sql("BEGIN")
        return
    level = "FULL" if options.get("wasel_durable", True) else "NORMAL"
    if connection.info.setdefault("synchronous", "FULL") != level:
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")  # not possible within a transaction
        connection.info["synchronous"] = level
    connection.exec_driver_sql("BEGIN IMMEDIATE")


class Database:
    """One database; shared by the threads of a process."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._read = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)
        self._write = sessionmaker(self.engine.execution_options(wasel_write=True), expire_on_commit=False)
        lazy = self.engine.execution_options(wasel_write=True, wasel_durable=False)
        self._write_lazily = sessionmaker(lazy, expire_on_commit=False)
        self._lock = threading.Lock()
        self._turn: IO[str] | None = None
        file = self.engine.url.database
        if self.is_sqlite and file and file != ":memory:":
            self._turn = Path(f"{file}-turn").open("a", encoding="ascii")  # noqa: SIM115 - until `close`

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session to read with."""
        with self._read() as session:
            yield session

    @contextlib.contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Session]:
        """Give a session whose changes are kept together, or not at all; `durable`: also after a power cut."""
        make = self._write if durable else self._write_lazily
        with self.alone(), make() as session:
            if not durable and not self.is_sqlite:
                session.execute(text("SET LOCAL synchronous_commit = off"))
            yield session
            session.commit()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one, of all processes, who writes; on SQLite."""
        if not self.is_sqlite:
            yield
            return
        with self._lock:
            if self._turn is None:
                yield
                return
            fcntl.flock(self._turn, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()
        if self._turn is not None:
            self._turn.close()


def _script() -> tuple[Config, ScriptDirectory]:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config, ScriptDirectory.from_config(config)


def revisions() -> list[str]:
    """Give the names of all schemas that this program knows, the oldest first."""
    return [script.revision for script in _script()[1].walk_revisions()][::-1]


def check_schema(connection: Connection) -> str | None:
    """Give the schema that a database has; None: it is empty. SchemaError for one that this program does not know."""
    found = MigrationContext.configure(connection).get_current_heads()
    if not found:
        return None
    known = revisions()
    if len(found) != 1 or found[0] not in known:
        raise SchemaError(
            f"the database has schema {', '.join(found)}, and this version knows none after {known[-1]}: a newer one"
            " has used it, and there is no way back down. Start that version again, or restore a backup that was made"
            " before ('wasel fleet restore')"
        )
    return found[0]


def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database's tables to what this version needs; a second run does nothing.

    Raises:
        SchemaError: a newer version has used it.
        UsageError: it cannot be reached.

    """
    config, _ = _script()
    database = Database(url)
    try:
        with database.alone(), database.engine.connect() as connection:
            if not database.is_sqlite:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
                connection.commit()  # the lock is the session's: it ends with it
            else:
                # SQLite alters a table by making it anew; to drop the old one would delete what refers to its rows.
                connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")  # type: ignore[union-attr]
            try:
                check_schema(connection)
                config.attributes["connection"] = connection
                command.upgrade(config, revision)
                if database.is_sqlite and (lost := connection.exec_driver_sql("PRAGMA foreign_key_check").first()):
                    raise SchemaError(
                        f"the migration would leave a row of {lost[0]} without the one of {lost[2]} it names"
                    )
                connection.commit()
            finally:
                connection.invalidate()  # and with the connection the lock
    except (OperationalError, InterfaceError) as error:
        where = database.engine.url.render_as_string(hide_password=True)
        raise UsageError(f"the database {where}: {error.orig}") from error
    finally:
        database.close()
