# SPDX-License-Identifier: Apache-2.0
"""Publishes desired states that changed: what the database holds above what the broker acknowledged.

The leader alone does it. A crash between acknowledgement and database publishes the same message again, which changes
nothing. Messages of one device are never under way twice at once, so an older one cannot come after a newer one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update

from agent.patience import happens
from fleet.deploy import WANT_COLUMNS, message_of
from fleet.models import DesiredSlot, Device

if TYPE_CHECKING:
    from sqlalchemy import Row

    from fleet.database import Database
    from fleet.link import Link

__all__ = ["Publisher"]

BATCH = 10_000
"""Orders loaded at once."""
NOTED_AT_ONCE = 500
POLL_S = 0.25
"""Other workers change desired states, too: how long that may go unnoticed."""
RETRY_S = 0.5

_Order = tuple[tuple[int, int], bytes, bytes]
"""Device's number and sequence, topic, message."""


class Publisher:
    """The task of the leader."""

    def __init__(self, database: Database, link: Link, prefix: str) -> None:
        self._database = database
        self._link = link
        self._prefix = prefix
        self._wanted = asyncio.Event()
        self.published = 0
        self.busy = False
        """Orders are on their way."""

    def wake(self) -> None:
        """Say that a desired state changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await happens(self._wanted, POLL_S)
            self._wanted.clear()
            await self._link.connected.wait()
            while orders := await asyncio.to_thread(self._load):
                self.busy = True
                try:
                    done = await self._link.publish_all(orders)
                finally:
                    self.busy = False
                self.published += len(done)
                if done:
                    await asyncio.to_thread(self._note, done)
                if len(done) < len(orders):
                    await asyncio.sleep(RETRY_S)
                    break

    def _load(self) -> list[_Order]:
        changed = (
            select(Device.id, Device.name, Device.desired_sequence)
            .where(Device.desired_sequence > Device.published_sequence, Device.status == "enrolled")
            .limit(BATCH)
            .subquery()
        )
        columns = (DesiredSlot.slot, *(getattr(DesiredSlot, name) for name in WANT_COLUMNS))
        query = select(changed, *columns).outerjoin(DesiredSlot, DesiredSlot.device_id == changed.c.id)
        slots: dict[tuple[int, int, str], list[Row[Any]]] = {}
        with self._database.read() as session:
            for row in session.execute(query):
                wanted = slots.setdefault((row.id, row.desired_sequence, row.name), [])
                if row.slot is not None:
                    wanted.append(row)
        encoded: dict[tuple[Any, ...], bytes] = {}
        orders = []
        for (number, sequence, name), rows in slots.items():
            key = (sequence, *((row.slot, row.digest, row.size, *row.args, 0, *row.env, row.name) for row in rows))
            if key not in encoded:  # most devices of a rollout get the same bytes
                encoded[key] = message_of(sequence, rows)
            orders.append(((number, sequence), f"{self._prefix}{name}/desired".encode(), encoded[key]))
        return orders

    def _note(self, done: list[tuple[int, int]]) -> None:
        by_sequence: dict[int, list[int]] = {}
        for number, sequence in done:
            by_sequence.setdefault(sequence, []).append(number)
        with self._database.write(durable=False) as session:
            for sequence, numbers in by_sequence.items():
                for start in range(0, len(numbers), NOTED_AT_ONCE):
                    session.execute(
                        update(Device)
                        .where(Device.id.in_(numbers[start : start + NOTED_AT_ONCE]))
                        .values(published_sequence=sequence),
                        execution_options={"synchronize_session": False},
                    )
