# SPDX-License-Identifier: Apache-2.0
"""Who of several workers is the leader: a row of the database, renewed while its holder lives.

With SQLite all workers are on one machine, and a lock on a file says it at once, also after a crash. With PostgreSQL a
lease runs out by itself `lease_s` after its holder was last seen. Either way the row has an epoch that grows with each
new leader, and whoever acts as leader checks in the same transaction that the epoch is still its own (`hold`): a worker
that slept through the end of its lease does nothing more.

Clocks of the workers may differ by a small part of `lease_s`; what they do twice because of it the epoch prevents.
"""

from __future__ import annotations

import fcntl
from typing import IO, TYPE_CHECKING, Any

from sqlalchemy import select

from fleet.clock import now_ms
from fleet.errors import ConflictError
from fleet.models import Lease

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from fleet.database import Database

__all__ = ["LeaderLease", "LostLeaseError"]

NAME = "leader"


class LostLeaseError(ConflictError):
    """Somebody else is the leader now."""


class LeaderLease:
    """One worker's claim to lead."""

    def __init__(self, database: Database, worker: str, lock: Path, lease_s: float) -> None:
        self._database = database
        self._worker = worker
        self._lock_path = lock
        self._lease_ms = int(lease_s * 1000)
        self._file: IO[Any] | None = None
        self.epoch = 0
        """Of the last lease; what `hold` compares."""

    def acquire(self) -> bool:
        """Try to become the leader, or to stay it."""
        if self._database.is_sqlite and not self._lock():
            return False
        now = now_ms()
        with self._database.write() as session:
            row = session.scalar(select(Lease).where(Lease.name == NAME).with_for_update())
            if row is None:
                row = Lease(name=NAME, holder="", until_ms=0, epoch=0)
                session.add(row)
            mine = row.holder == self._worker
            if not mine and not self._database.is_sqlite and row.until_ms > now:
                return False
            if not mine or row.epoch != self.epoch:
                row.epoch += 1
            row.holder, row.until_ms = self._worker, now + self._lease_ms
            self.epoch = row.epoch
        return True

    def _lock(self) -> bool:
        if self._file is not None:
            return True
        file = self._lock_path.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def hold(self, session: Session) -> None:
        """Make sure, until the end of this transaction, that this worker leads. LostLeaseError."""
        row = session.execute(
            select(Lease.holder, Lease.epoch).where(Lease.name == NAME).with_for_update(read=True)
        ).first()
        if row is None or row.holder != self._worker or row.epoch != self.epoch:
            raise LostLeaseError("another worker leads now")

    def release(self) -> None:
        """Let another one lead, at once."""
        with self._database.write() as session:
            row = session.scalar(select(Lease).where(Lease.name == NAME).with_for_update())
            if row is not None and row.holder == self._worker:
                row.until_ms = 0
        if self._file is not None:
            self._file.close()
            self._file = None
