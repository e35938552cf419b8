# SPDX-License-Identifier: Apache-2.0
"""Messages of agents on their way into the database: collected on the loop, written in batches by one thread.

Contract: `take` never waits. States of one device that come in one batch are merged to the one that counts (at most
MAX_STATES are kept); output and samples beyond their maxima are dropped and counted, as MQTT may drop them. After each
batch `written` is told on the loop what changed. While `hold` says so nothing is written, for HOLD_S at most.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import insert, select
from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError

from agent.errors import MessageError
from agent.messages import LogLine, Metrics
from agent.patience import clears
from fleet import reports
from fleet.clock import now_ms
from fleet.models import Device, LogRecord, Sample
from fleet.output import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from fleet.bus import Bus
    from fleet.database import Database

__all__ = ["Ingest"]

_T = TypeVar("_T")

FLUSH_S = 0.1
"""Time between two batches while messages come. As long as the last batch took, if that is longer: the busier the
database, the more reports of one device are merged into one."""
MOST_PAUSE_S = 1.0
HOLD_S = 2.0
"""How long something more urgent may hold the writing up."""
MAX_STATES = 8
"""Of one device in one batch."""
MAX_LOGS = 20_000
MAX_SAMPLES = 20_000
MAX_DEVICES = 500
"""In one transaction: others want to write, too."""
RETRY_S = 1.0
MOST_WORDS = 500
"""Devices named in one message of the bus."""


class Ingest:
    """The collected messages and the task that writes them."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        written: Callable[[reports.Merged], None],
        hold: Callable[[], bool] = lambda: False,
    ) -> None:
        self._hold = hold
        self._database = database
        self._bus = bus
        self._written = written
        self._states: dict[str, list[bytes]] = {}
        self._logs: list[tuple[str, bytes, int]] = []
        self._samples: list[tuple[str, bytes, int]] = []
        self._some = asyncio.Event()
        self.states = 0
        self.dropped = 0
        self.malformed = 0
        self.unknown = 0
        self.write_s = 0.0
        """Spent in the database."""

    def take_state(self, device: str, body: bytes) -> None:
        """Take a report."""
        waiting = self._states.setdefault(device, [])
        waiting.append(body)
        if len(waiting) > MAX_STATES:
            del waiting[0]
        self.states += 1
        self._some.set()

    def take_log(self, device: str, body: bytes) -> None:
        """Take a piece of output."""
        if len(self._logs) >= MAX_LOGS:
            self.dropped += 1
            return
        self._logs.append((device, body, now_ms()))
        self._some.set()

    def take_sample(self, device: str, body: bytes) -> None:
        """Take counters."""
        if len(self._samples) >= MAX_SAMPLES:
            self.dropped += 1
            return
        self._samples.append((device, body, now_ms()))
        self._some.set()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self._some.wait()
            self._some.clear()
            loop = asyncio.get_running_loop()
            await clears(self._hold, HOLD_S, every_s=FLUSH_S)
            began_s = loop.time()
            await self._flush()
            await asyncio.sleep(min(max(FLUSH_S, loop.time() - began_s), MOST_PAUSE_S))

    async def _flush(self) -> None:
        states, self._states = self._states, {}
        logs, self._logs = self._logs, []
        samples, self._samples = self._samples, []
        names = list(states)
        for start in range(0, len(names), MAX_DEVICES):
            part = {name: states[name] for name in names[start : start + MAX_DEVICES]}
            merged = await self._try(self._write_states, part)
            if merged is not None:
                self.malformed += merged.malformed
                self.unknown += len(merged.unknown)
                self._tell(merged)
        if logs or samples:
            lines = await self._try(self._write_records, logs, samples)
            for device, records in (lines or {}).items():
                self._bus.publish(f"log:{device}", "log", {"device": device, "records": records})

    async def _try(self, work: Callable[..., _T], *arguments: Any) -> _T | None:
        """Do it in a thread; a database that is away is waited for, what it refuses is dropped."""
        while True:
            began_s = time.monotonic()
            try:
                return await asyncio.to_thread(work, *arguments)
            except (OperationalError, InterfaceError) as error:
                print(f"wasel fleet: database: {error.orig}; trying again", file=sys.stderr, flush=True)
                await asyncio.sleep(RETRY_S)
            except SQLAlchemyError as error:
                self.dropped += 1
                print(f"wasel fleet: database: {error}; a batch is dropped", file=sys.stderr, flush=True)
                return None
            finally:
                self.write_s += time.monotonic() - began_s

    def _write_states(self, states: dict[str, list[bytes]]) -> reports.Merged:
        with self._database.write(durable=False) as session:
            return reports.merge(session, states, now_ms())

    def _tell(self, merged: reports.Merged) -> None:
        self._written(merged)
        words = merged.words
        if not words:
            return
        self._bus.publish("fleet", "states", words if len(words) <= MOST_WORDS else {})
        for name, word in words.items():
            if self._bus.watched(f"device:{name}"):
                self._bus.publish(f"device:{name}", "state", {"device": name, "state": word})

    def _write_records(
        self, logs: list[tuple[str, bytes, int]], samples: list[tuple[str, bytes, int]]
    ) -> dict[str, list[dict[str, Any]]]:
        """Write output and counters; gives the output as JSON, by device."""
        with self._database.write(durable=False) as session:
            numbers = _numbers(session, {name for name, _, _ in (*logs, *samples)})
            records, told = self._log_rows(logs, numbers)
            if records:
                session.execute(insert(LogRecord), records)
            rows = self._sample_rows(samples, numbers)
            if rows:
                session.execute(insert(Sample), rows)
        return told

    def _log_rows(
        self, logs: list[tuple[str, bytes, int]], numbers: dict[str, int]
    ) -> tuple[list[dict[str, Any]], dict[str, list[dict[str, Any]]]]:
        rows: list[dict[str, Any]] = []
        told: dict[str, list[dict[str, Any]]] = {}
        for name, body, at_ms in logs:
            try:
                line = LogLine.parse(body)
            except MessageError:
                self.malformed += 1
                continue
            if name not in numbers:
                self.unknown += 1
                continue
            fields = {"at_ms": at_ms, "slot": line.slot, "stream": line.stream, "seq": line.seq, "line": line.line}
            rows.append(fields | {"device_id": numbers[name], "data": line.data})
            if self._bus.watched(f"log:{name}"):
                told.setdefault(name, []).append(fields | {"text": text_of(line.data, line.stream, line.slot)})
        return rows, told

    def _sample_rows(self, samples: list[tuple[str, bytes, int]], numbers: dict[str, int]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for name, body, at_ms in samples:
            try:
                metrics = Metrics.parse(body)
            except MessageError:
                self.malformed += 1
                continue
            if name in numbers:
                rows += [
                    {"device_id": numbers[name], "at_ms": at_ms, "slot": slot, "counters": counters}
                    for slot, counters in metrics.slots.items()
                ]
        return rows


def _numbers(session: Session, names: set[str]) -> dict[str, int]:
    """Give the ids of enrolled devices."""
    found: dict[str, int] = {}
    wanted = sorted(names)
    for start in range(0, len(wanted), 500):
        query = select(Device.name, Device.id).where(
            Device.name.in_(wanted[start : start + 500]), Device.status == "enrolled"
        )
        found |= dict(session.execute(query).all())
    return found
