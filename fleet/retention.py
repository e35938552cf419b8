# SPDX-License-Identifier: Apache-2.0
"""What the server keeps, and what goes: everything that grows by itself has a bound, in rows and in bytes.

Events, output and samples are kept by device. Each device may hold so many bytes (`keep_device_..._size`), and all of
them together so many rows and bytes (`keep_...`, `keep_..._size`). Above that the devices that hold the most give up
their oldest, down to the level at which the sum fits: a device that says little loses nothing, whoever talks. Events
of the server itself, which are no device's, count as one device's with a quarter of all bytes.

Rollouts that are over go with their devices' parts and twin reports, the oldest first, by number, by parts and, if
asked for, by age. Tokens and claims that ran out, sessions of browsers and the audit log are kept by number.

Contract: `round` is for the leader, one thread, every few seconds. What the devices hold is counted once, and after
that only what is new, so that a round costs what came since the last one. Each transaction is small. Between two rounds
the tables grow by what devices are let send; with what SQLite's file has free it does not shrink, and does not grow.
A byte is one of the text, data or counters; a row costs ROW_SIZE besides.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import String, and_, cast, delete, func, or_, select

from fleet import audit
from fleet.access import SYSTEM
from fleet.auth.sessions import IDLE_MS
from fleet.clock import now_ms
from fleet.machine import FLYING, OVER
from fleet.models import AuditEntry, BrowserSession, Claim, Event, LogRecord, Rollout, RolloutDevice, Sample, Token

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

    from fleet.database import Database
    from fleet.settings import Settings

__all__ = ["ROW_SIZE", "Retention", "level"]

ROW_SIZE = 64
"""Bytes that a row counts beside what it holds."""
SERVER = 0
"""Stands for the device of events that are no device's."""
LEAST = 7 / 8
"""Share of its level down to which a device that is above it is brought: not one row a round."""
AT_ONCE = 2000
"""Rows deleted in one transaction."""
RECOUNT_S = 900.0
"""PostgreSQL hands out numbers before their rows are there, and devices are removed: all is counted anew."""
REST_S = 60.0
"""Between two looks at what people make, which grows slowly."""
ROLLOUTS_AT_ONCE = 20
DAY_MS = 86_400_000


def level(held: Iterable[int], most: int) -> int:
    """Give the most that each may hold so that all together hold no more than `most`."""
    left = most
    sizes = sorted(held)
    for place, size in enumerate(sizes):
        if size * (len(sizes) - place) > left:
            return left // (len(sizes) - place)
        left -= size
    return sizes[-1] if sizes else most


def _text_size(column: Any) -> ColumnElement[int]:
    """Give the size of JSON as it is stored."""
    return func.length(cast(column, String))


@dataclass
class _Held:
    rows: int = 0
    size: int = 0


class _Journal:
    """One table of rows by device."""

    def __init__(self, table: Any, size: ColumnElement[int], rows: int, bytes_: int, device_bytes: int) -> None:
        self._table = table
        self._size = size + ROW_SIZE
        self._device = func.coalesce(table.device_id, SERVER)
        self._rows, self._bytes, self._device_bytes = rows, bytes_, device_bytes
        self._held: dict[int, _Held] = {}
        self._seen = 0

    def forget(self) -> None:
        """Count anew."""
        self._held, self._seen = {}, 0

    def count(self, session: Session) -> None:
        """Count what came since the last time."""
        query = select(self._device, func.count(), func.sum(self._size), func.max(self._table.id))
        newest = self._seen
        for device, rows, size, last in session.execute(
            query.where(self._table.id > self._seen).group_by(self._device)
        ):
            held = self._held.setdefault(device, _Held())
            held.rows, held.size, newest = held.rows + rows, held.size + int(size), max(newest, last)
        self._seen = newest

    def above(self) -> dict[int, tuple[int, int]]:
        """Give what is to be left, rows and bytes, of each device that holds too much."""

        def most(device: int) -> int:
            return self._bytes // 4 if device == SERVER else self._device_bytes

        sizes = {device: min(held.size, most(device)) for device, held in self._held.items()}
        size, rows = level(sizes.values(), self._bytes), level((it.rows for it in self._held.values()), self._rows)
        return {
            device: (int(rows * LEAST), int(min(size, most(device)) * LEAST))
            for device, held in self._held.items()
            if held.rows > rows or held.size > min(size, most(device))
        }

    def cut(self, database: Database, device: int, rows: int, size: int) -> int:
        """Drop a device's oldest rows; gives how many."""
        table = self._table
        mine = table.device_id.is_(None) if device == SERVER else table.device_id == device
        order = table.id.desc()
        summed = select(
            table.id.label("id"),
            func.row_number().over(order_by=order).label("place"),
            func.sum(self._size).over(order_by=order).label("size"),
        ).where(mine)
        counted = summed.subquery()
        with database.read() as session:
            last = session.scalar(
                select(func.max(counted.c.id)).where(or_(counted.c.place > rows, counted.c.size > size))
            )
            where = and_(mine, table.id > (last or 0), table.id <= self._seen)
            left = session.execute(select(func.count(), func.coalesce(func.sum(self._size), 0)).where(where)).one()
        gone = 0
        while last is not None:
            old = select(table.id).where(mine, table.id <= last).order_by(table.id).limit(AT_ONCE)
            with database.write(durable=False) as session:
                count = session.execute(delete(table).where(table.id.in_(old))).rowcount  # type: ignore[attr-defined]
            gone += count
            if count < AT_ONCE:
                break
        self._held[device] = _Held(left[0], int(left[1]))
        return gone


class Retention:
    """What the leader has in mind of the tables' sizes."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._journals = (
            _Journal(
                Event,
                func.length(Event.text) + _text_size(Event.data),
                settings.keep_events,
                settings.keep_events_size,
                settings.keep_device_events_size,
            ),
            _Journal(
                LogRecord,
                func.length(LogRecord.data),
                settings.keep_logs,
                settings.keep_logs_size,
                settings.keep_device_logs_size,
            ),
            _Journal(
                Sample,
                _text_size(Sample.counters),
                settings.keep_samples,
                settings.keep_samples_size,
                settings.keep_device_samples_size,
            ),
        )
        self._counted_s = time.monotonic()
        self._next_s = 0.0

    def round(self) -> int:
        """Drop what is above the bounds; gives how many rows went."""
        gone = self._journal_round()
        if time.monotonic() >= self._next_s:
            for work in (self._tokens, self._claims, self._sessions, self._rollouts, self._audit):
                gone += work()
            self._next_s = time.monotonic() + (0 if gone >= ROLLOUTS_AT_ONCE else REST_S)
        return gone

    def _journal_round(self) -> int:
        if time.monotonic() - self._counted_s > RECOUNT_S:
            self._counted_s = time.monotonic()
            for journal in self._journals:
                journal.forget()
        gone = 0
        for journal in self._journals:
            with self._database.read() as session:
                journal.count(session)
            for device, (rows, size) in journal.above().items():
                gone += journal.cut(self._database, device, rows, size)
        return gone

    def _drop(self, table: Any, key: Any, old: Any) -> int:
        """Drop the rows that a query names, if there are any."""
        with self._database.read() as session:
            keys = list(session.scalars(old.limit(AT_ONCE)))
        if not keys:
            return 0
        with self._database.write() as session:
            return int(session.execute(delete(table).where(key.in_(keys))).rowcount)  # type: ignore[attr-defined]

    def _tokens(self) -> int:
        old = select(Token.id).where(Token.expires_ms < now_ms()).order_by(Token.id.desc())
        return self._drop(Token, Token.id, old.offset(self._settings.keep_expired))

    def _claims(self) -> int:
        over = or_(Claim.expires_ms < now_ms(), Claim.revoked)
        old = select(Claim.id).where(over).order_by(Claim.id.desc())
        return self._drop(Claim, Claim.id, old.offset(self._settings.keep_expired))

    def _sessions(self) -> int:
        place = func.row_number().over(partition_by=BrowserSession.user_id, order_by=BrowserSession.seen_ms.desc())
        numbered = select(
            BrowserSession.id_hash, BrowserSession.seen_ms, BrowserSession.expires_ms, place.label("place")
        )
        each = numbered.subquery()
        now = now_ms()
        over = or_(each.c.seen_ms < now - IDLE_MS, each.c.expires_ms < now, each.c.place > self._settings.keep_sessions)
        return self._drop(BrowserSession, BrowserSession.id_hash, select(each.c.id_hash).where(over))

    def _rollouts(self) -> int:
        """Drop rollouts that are over, and with them, by the database's own rule, what hangs on them."""
        settings = self._settings
        part = RolloutDevice
        busy = select(part.rollout_id).where(
            part.rollout_id == Rollout.id, part.state.in_([state.value for state in FLYING])
        )
        parts = select(func.count()).where(part.rollout_id == Rollout.id).scalar_subquery()
        over = (
            select(Rollout.id, Rollout.ended_ms, parts.label("parts"))
            .where(Rollout.phase.in_([phase.value for phase in OVER]), ~busy.exists())
            .order_by(Rollout.id.desc())
        )
        oldest_ms = now_ms() - settings.keep_rollout_days * DAY_MS if settings.keep_rollout_days else 0
        held, old = 0, []
        with self._database.read() as session:
            for place, row in enumerate(session.execute(over)):
                held += row.parts
                late = (row.ended_ms or 0) < oldest_ms
                if late or place >= settings.keep_rollouts or held > settings.keep_rollout_devices:
                    old.append(row.id)
        gone = 0
        for number in old[::-1][:ROLLOUTS_AT_ONCE]:
            gone += self._forget(number)
        return gone

    def _forget(self, number: int) -> int:
        """Drop a rollout, its devices' parts a few at a time."""
        gone = 0
        while True:
            some = select(RolloutDevice.device_id).where(RolloutDevice.rollout_id == number).limit(AT_ONCE)
            with self._database.write() as session:
                statement = delete(RolloutDevice).where(
                    RolloutDevice.rollout_id == number, RolloutDevice.device_id.in_(some)
                )
                count = session.execute(statement).rowcount  # type: ignore[attr-defined]
                gone += count
                if count == 0:
                    gone += session.execute(delete(Rollout).where(Rollout.id == number)).rowcount  # type: ignore[attr-defined]
                    return int(gone)

    def _audit(self) -> int:
        keep = self._settings.keep_audit
        with self._database.read() as session:
            newest, _ = audit.head(session)
            first = session.scalar(select(func.min(AuditEntry.id))) or 0
        if newest - first + 1 <= keep:
            return 0
        with self._database.write() as session:
            return audit.prune(session, SYSTEM, int(keep * LEAST))
