# SPDX-License-Identifier: Apache-2.0
"""The database: sessions to read and to write, on SQLite (WAL) or PostgreSQL.

Contract: `read` gives a session whose changes are never kept; `write` gives one that commits at the end or leaves
nothing. On SQLite there is one writer at a time, in all processes: each waits in line for a lock on the file `...-turn`
beside the database, where SQLite's own waiting would have it look again now and then, and be passed by; a transaction
begins as IMMEDIATE. Sessions are for one thread and never held over network traffic.
Does NOT create tables: that is `upgrade`, which runs the Alembic migrations in fleet/migrations.
"""

from __future__ import annotations

import contextlib
import fcntl
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session, sessionmaker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

__all__ = ["Database", "upgrade"]

BUSY_TIMEOUT_MS = 60_000
POOL_SIZE = 8
"""Connections kept; as many again may be opened for a moment."""
CACHE_KIB = 8192
"""Page cache of one SQLite connection."""
MIGRATIONS = Path(__file__).parent / "migrations"


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, pool_size=POOL_SIZE, max_overflow=2 * POOL_SIZE, pool_timeout=60)
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
        return engine
    engine = create_engine(parsed, pool_size=POOL_SIZE, max_overflow=2 * POOL_SIZE, pool_timeout=60, pool_pre_ping=True)
    event.listen(engine, "connect", _postgres_connect)
    return engine


def _postgres_connect(connection: Any, _record: object) -> None:
    connection.autocommit = True
    connection.execute("SET jit = off")  # it spends 200 ms on compiling what then takes 10, for counting 10,000 devices
    connection.autocommit = False


def _sqlite_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_sqlite_begin` does
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        f"cache_size=-{CACHE_KIB}",
        "temp_store=MEMORY",
        "journal_size_limit=67108864",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    immediate = connection.get_execution_options().get("wasel_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


class Database:
    """One database; shared by the threads of a process."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._read = sessionmaker(self.engine, expire_on_commit=False, autoflush=False)
        self._write = sessionmaker(self.engine.execution_options(wasel_write=True), expire_on_commit=False)
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
    def write(self) -> Iterator[Session]:
        """Give a session whose changes are kept together, or not at all."""
        with self._alone() if self.is_sqlite else contextlib.nullcontext(), self._write() as session:
            yield session
            session.commit()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
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


def upgrade(url: str) -> None:
    """Bring a database's tables to what this version needs; a second run does nothing."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = _engine(url)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    finally:
        engine.dispose()
