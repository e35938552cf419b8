# SPDX-License-Identifier: Apache-2.0
"""The MQTT side of one server process: its link, what is done with each message, and what the leader does besides.

Every worker answers `get` and takes `log` and `met` through shared subscriptions, so that each message is handled once.
Every process hears every `ack`, and knows which it waits for; the one that answers HTTP (`Settings.ingest` False) hears
nothing else. The leader alone takes `state` (which is retained: a new leader learns all of them by subscribing, and
reports of one device stay in order) and compares the retained `desired` with the database: a broker that lost or never
had one gets it again.

    topic leaf      who            what
    get             any worker     fleet.chunks
    log, met        any worker     fleet.ingest
    ack             all processes  fleet.orders
    state, desired  the leader     fleet.ingest, fleet.publisher
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING

from sqlalchemy import select

from agent.errors import BrokerError, MessageError
from agent.messages import Desired, Get
from agent.patience import happens
from fleet.chunks import ChunkCache, ChunkServer
from fleet.deploy import note_retained
from fleet.ingest import Ingest
from fleet.link import Link
from fleet.models import Device
from fleet.orders import Orders
from fleet.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet.artifacts import Shelf
    from fleet.bus import Bus
    from fleet.database import Database
    from fleet.mqtt_packets import Publish
    from fleet.reports import Merged
    from fleet.settings import Settings

__all__ = ["Service"]

CENSUS_S = 1.0
"""Quiet time after which the retained desired states are taken to be all there."""
NAMES_S = 5.0
"""How long a worker may not know of a device that another one let in."""


class Service:
    """The MQTT side of one process."""

    def __init__(
        self, settings: Settings, database: Database, bus: Bus, shelf: Shelf, reported: Callable[[Merged], None]
    ) -> None:
        self._database = database
        self._prefix = f"wasel/1/{settings.tenant}/"
        self._share = settings.share_group
        self._reported = reported
        self._ingests = settings.ingest
        self.ingest = Ingest(database, bus, self._merged, self._ordering)
        self.link = Link(
            settings.broker_url,
            deliver=self._deliver,
            on_connected=self._connected,
            ca=settings.broker_ca,
            max_buffered=settings.max_outstanding_size,
        )
        self.publisher = Publisher(database, self.link, self._prefix)
        cache = ChunkCache(shelf, settings.chunk_cache_size)
        self.chunks = ChunkServer(cache, self.link, self._prefix, self._ordering)
        self.orders = Orders(self.link, self._prefix)
        self._names: set[str] = set()
        """Enrolled devices: others are not answered."""
        self._names_wanted = asyncio.Event()
        self._retained: dict[str, int] | None = None
        """Sequences of retained desired states, while they are being counted."""
        self._census = asyncio.Event()
        self._heard_s = 0.0
        self.ignored = 0

    async def run(self) -> None:
        """Run until cancelled."""
        await self.link.subscribe({f"{self._prefix}+/ack": 1})
        if not self._ingests:
            await self.link.run()
            return
        await self.link.subscribe({f"$share/{self._share}/{self._prefix}+/{leaf}": 0 for leaf in ("get", "log", "met")})
        async with asyncio.TaskGroup() as group:
            for task in (self.link.run(), self.chunks.run(), self.ingest.run(), self._watch_names()):
                group.create_task(task)

    async def lead(self) -> None:
        """Do what the leader does, until cancelled."""
        topics = {f"{self._prefix}+/state": 1, f"{self._prefix}+/desired": 1}
        self._census.set()
        try:
            with contextlib.suppress(BrokerError):
                await self.link.subscribe(topics)
            async with asyncio.TaskGroup() as group:
                group.create_task(self.publisher.run())
                group.create_task(self._count_retained())
        finally:
            await self.link.unsubscribe(*topics)

    def devices_changed(self) -> None:
        """Say that devices came or went; on the loop."""
        self._names_wanted.set()

    # Messages

    def _connected(self) -> None:
        self._census.set()
        self.publisher.wake()

    def _ordering(self) -> bool:
        return self.publisher.busy

    def _merged(self, merged: Merged) -> None:
        if merged.raised:
            self.publisher.wake()
        self._reported(merged)

    def _deliver(self, message: Publish) -> None:
        device, _, leaf = message.topic.removeprefix(self._prefix).partition("/")
        if leaf == "state":
            if message.body:
                self.ingest.take_state(device, message.body)
        elif leaf == "desired":
            self._take_retained(device, message.body)
        elif leaf == "ack":
            self.orders.take(device, message.body)
        elif device not in self._names:
            self.ignored += 1
            self._names_wanted.set()
        elif leaf == "get":
            with contextlib.suppress(MessageError):
                self.chunks.ask(device, Get.parse(message.body))
        elif leaf == "log":
            self.ingest.take_log(device, message.body)
        elif leaf == "met":
            self.ingest.take_sample(device, message.body)

    # Devices' names

    async def _watch_names(self) -> None:
        while True:
            self._names = await asyncio.to_thread(self._load_names)
            self._names_wanted.clear()
            await happens(self._names_wanted, NAMES_S)
            await asyncio.sleep(0.05)  # those that come together are loaded together

    def _load_names(self) -> set[str]:
        with self._database.read() as session:
            return set(session.scalars(select(Device.name).where(Device.status == "enrolled")))

    # Retained desired states

    def _take_retained(self, device: str, body: bytes) -> None:
        self._heard_s = asyncio.get_running_loop().time()
        if self._retained is None:
            return
        try:
            self._retained[device] = Desired.parse(body).sequence if body else 0
        except MessageError:
            self._retained[device] = 0

    async def _count_retained(self) -> None:
        """After each connection see what the broker holds, and publish what it does not."""
        topic = f"{self._prefix}+/desired"
        loop = asyncio.get_running_loop()
        while True:
            await self._census.wait()
            self._census.clear()
            await self.link.connected.wait()
            self._retained, self._heard_s = {}, loop.time()
            with contextlib.suppress(BrokerError):
                await self.link.subscribe({topic: 1})  # again: a broker sends what it retained with each
            while loop.time() - self._heard_s < CENSUS_S:  # noqa: ASYNC110 - until nothing comes any more
                await asyncio.sleep(CENSUS_S / 4)
            held, self._retained = self._retained or {}, None
            await self.link.unsubscribe(topic)  # what we publish need not come back
            if self._census.is_set():
                continue  # the connection was lost meanwhile
            behind = await asyncio.to_thread(self._compare, held)
            if behind:
                print(f"wasel fleet: {behind} desired states are published again", file=sys.stderr, flush=True)
                self.publisher.wake()

    def _compare(self, held: dict[str, int]) -> int:
        with self._database.write() as session:
            return note_retained(session, held)
