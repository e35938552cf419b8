# SPDX-License-Identifier: Apache-2.0
"""What the parts of one server process share: settings, database, bus; and the tasks that run beside the requests.

Contract: `Fleet` is made before the first request and lives as long as the application; `run` is the application's
lifespan. Parts are given what they need from it and never look each other up.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from typing import TYPE_CHECKING

from fastapi import Request  # noqa: TC002 - FastAPI reads the annotation of `fleet_of`

from fleet.bus import Bus
from fleet.database import Database, upgrade

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fleet.settings import Settings

__all__ = ["Fleet", "fleet_of"]


class Fleet:
    """One process of a fleet server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.artifacts.mkdir(exist_ok=True)
        upgrade(settings.database_url)
        self.database = Database(settings.database_url)
        self.bus = Bus()
        self.worker = uuid.uuid4().hex[:12]
        """Name of this process among the server's workers."""

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Run the tasks while the context is open."""
        self.bus.attach()
        try:
            yield
        finally:
            await asyncio.to_thread(self.database.close)


def fleet_of(request: Request) -> Fleet:
    """Give the server of a request: a dependency of routes."""
    fleet: Fleet = request.app.state.fleet
    return fleet
