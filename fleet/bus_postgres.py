# SPDX-License-Identifier: Apache-2.0
"""The bus of several processes, also on several machines, through PostgreSQL's LISTEN and NOTIFY.

Contract: as fleet.bus_relay has it; `run` connects anew as often as it takes. Messages are not kept for it meanwhile.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

import psycopg
from sqlalchemy.engine import make_url

from fleet.bus_relay import BusRelay

if TYPE_CHECKING:
    from fleet.bus import Bus

__all__ = ["PostgresRelay"]

CHANNEL = "wasel_bus"
RETRY_S = 1.0


class PostgresRelay(BusRelay):
    """One process's part."""

    max_payload = 7900
    """PostgreSQL takes less than 8000 bytes in one notification."""

    def __init__(self, url: str, bus: Bus, worker: str) -> None:
        super().__init__(bus, worker)
        self._conninfo = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)

    async def run(self) -> None:
        """Relay until cancelled."""
        with self._attached():
            before = False
            while True:
                try:
                    async with (
                        await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as hearing,
                        await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True) as saying,
                        asyncio.TaskGroup() as group,
                    ):
                        if before:
                            self._bus.lose()  # what others said meanwhile
                        before = True
                        group.create_task(self._hear(hearing))
                        group.create_task(
                            self._say(lambda text: saying.execute("SELECT pg_notify(%s, %s)", (CHANNEL, text)))
                        )
                except (psycopg.Error, OSError) as error:
                    self._complain(error)
                except ExceptionGroup as errors:
                    if errors.split((psycopg.Error, OSError))[1] is not None:
                        raise
                    self._complain(errors.exceptions[0])
                await asyncio.sleep(RETRY_S)

    @staticmethod
    def _complain(error: Exception) -> None:
        print(f"wasel fleet: live pages of other workers: {error}; trying again", file=sys.stderr, flush=True)

    async def _hear(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(f"LISTEN {CHANNEL}")
        async for notification in connection.notifies():
            self._heard(notification.payload)
