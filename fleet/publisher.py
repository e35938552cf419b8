# SPDX-License-Identifier: Apache-2.0
"""Publishes desired states that changed: what the database holds above what the broker acknowledged.

The leader alone does it. A crash between acknowledgement and database publishes the same message again, which changes
nothing. Messages of one device are never under way twice at once, so an older one cannot come after a newer one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import load_only, selectinload

from agent.errors import BrokerError
from agent.patience import happens
from fleet.deploy import message_of
from fleet.models import Device

if TYPE_CHECKING:
    from fleet.database import Database
    from fleet.link import Link

__all__ = ["Publisher"]

BATCH = 2000
POLL_S = 0.25
"""Other workers change desired states, too: how long that may go unnoticed."""
RETRY_S = 0.5


class Publisher:
    """The task of the leader."""

    def __init__(self, database: Database, link: Link, prefix: str) -> None:
        self._database = database
        self._link = link
        self._prefix = prefix
        self._wanted = asyncio.Event()
        self.published = 0

    def wake(self) -> None:
        """Say that a desired state changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await happens(self._wanted, POLL_S)
            self._wanted.clear()
            await self._link.connected.wait()
            while messages := await asyncio.to_thread(self._load):
                done = await self._publish(messages)
                if done:
                    await asyncio.to_thread(self._note, done)
                if len(done) < len(messages):
                    await asyncio.sleep(RETRY_S)
                    break

    def _load(self) -> list[tuple[int, int, str, bytes]]:
        query = (
            select(Device)
            .where(Device.desired_sequence > Device.published_sequence, Device.status == "enrolled")
            .options(load_only(Device.id, Device.name, Device.desired_sequence), selectinload(Device.desired))
            .limit(BATCH)
        )
        with self._database.read() as session:
            return [
                (row.id, row.desired_sequence, row.name, message_of(row.desired_sequence, row.desired))
                for row in session.scalars(query)
            ]

    async def _publish(self, messages: list[tuple[int, int, str, bytes]]) -> list[dict[str, int]]:
        done: list[dict[str, int]] = []

        async def one(number: int, sequence: int, name: str, body: bytes) -> None:
            with contextlib.suppress(BrokerError):
                await self._link.publish(f"{self._prefix}{name}/desired".encode(), body, retain=True)
                done.append({"number": number, "sequence": sequence})

        await asyncio.gather(*(one(*message) for message in messages))
        self.published += len(done)
        return done

    def _note(self, done: list[dict[str, int]]) -> None:
        statement = (
            update(Device.__table__)  # type: ignore[arg-type]
            .where(Device.__table__.c.id == bindparam("number"))
            .values(published_sequence=bindparam("sequence"))
        )
        with self._database.write() as session:
            session.execute(statement, done)
