# SPDX-License-Identifier: Apache-2.0
"""What the parts of one server process share: settings, database, bus; and the tasks that run in it.

A process answers HTTP, or does what devices need, or both (tests do): `Settings.engine` and `ingest` say it. What one
that answers HTTP was asked for, it says on its bus, under REQUESTS; whose task it is hears it there, in whichever
process. A message that is lost costs time only: the tasks look into the database now and then.

Contract: `Fleet` is made before the first request; `run` is the life of the process. The database is up to date. Parts
are given what they need from it and never look each other up.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
import uuid
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from agent.errors import WaselError
from fleet.artifacts import Shelf
from fleet.bus import Bus
from fleet.database import Database
from fleet.engine import Engine
from fleet.enrolment import credentials
from fleet.lease import LeaderLease, LostLeaseError
from fleet.metrics import COUNTERS, Numbers, numbers_of
from fleet.retention import Retention
from fleet.service import Service
from fleet.twin_worker import TwinWorker
from fleet.webhooks import Deliverer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from fleet.reports import Merged
    from fleet.settings import Settings

__all__ = ["DESIRED", "DEVICES", "REQUESTS", "ROLLOUTS", "Fleet"]

DESIRED, ROLLOUTS, DEVICES = "changed:desired", "changed:rollouts", "changed:devices"
REQUESTS = (DESIRED, ROLLOUTS, DEVICES)
"""Topics of the bus."""
LEASE_POLL_S = 1.0
PRUNE_S = 10.0
LETTING_IN_S = 60.0
COUNTERS_S = 2.0


class Fleet:
    """One process of a fleet server."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.artifacts.mkdir(exist_ok=True)
        self.database = Database(settings.database_url)
        self.shelf = Shelf(settings.artifacts)
        self.bus = Bus()
        self.worker = uuid.uuid4().hex[:12]
        """Name of this process among the server's."""
        self.lease = LeaderLease(self.database, self.worker, settings.data / "leader.lock", settings.lease_s)
        self.leads: bool = False
        self.service: Service | None = None
        self.engine: Engine = Engine(self.database, self.lease, self.bus, self._ordered, settings.tick_s)
        self.twin = TwinWorker(settings, self.database, self.shelf, self.worker, self._twin_done)
        self.webhooks: Deliverer = Deliverer(self.database)
        self.let_in: Callable[[Mapping[str, str]], Awaitable[None]] | None = None
        """Tells the server's own broker which devices may log in; None: the broker is somebody else's."""
        self.broker_ca, self.ca_hash = _read_ca(settings.device_ca_path)
        """Certificate of the authority that devices are to trust (PEM, SHA-256 of its DER), or empty."""
        self.closing = asyncio.Event()
        """Long answers are to end."""
        self.numbers: Numbers = Numbers()
        """What other processes count."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def device_broker_url(self) -> str:
        """Where devices find the broker."""
        if self.settings.device_broker_url or self.service is None:
            return self.settings.device_broker_url
        return str(self.service.link.address)

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Run the tasks while the context is open."""
        self._loop = asyncio.get_running_loop()
        self.bus.attach()
        tasks = []
        if self.settings.broker_url:
            self.service = Service(self.settings, self.database, self.bus, self.shelf, self._reported)
            tasks.append(asyncio.create_task(self._guard(self.service.run())))
        if not self.database.is_sqlite:
            from fleet.bus_postgres import PostgresRelay  # noqa: PLC0415 - brings PostgreSQL's driver

            relay = PostgresRelay(self.settings.database_url, self.bus, self.worker)
            tasks.append(asyncio.create_task(self._guard(relay.run())))
        if self.settings.engine:
            tasks.append(asyncio.create_task(self._guard(self._elect())))
        if self.settings.engine or self.settings.ingest:
            tasks.append(asyncio.create_task(self._guard(self._hear_requests())))
            tasks.append(asyncio.create_task(self._guard(self._tell_numbers())))
        else:
            tasks.append(asyncio.create_task(self._guard(self._hear_numbers())))
        try:
            yield
        finally:
            self.closing.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(self.database.close)

    @staticmethod
    async def _guard(work: Awaitable[None]) -> None:
        """Say so when a task ends by itself: that is a defect."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            print(f"wasel fleet: a part of the server failed: {error!r}", file=sys.stderr, flush=True)
            raise

    # Told by routes, in any thread

    def desired_changed(self) -> None:
        """Say that desired states changed: they are published now, not at the next look."""
        self.bus.post(DESIRED, "changed")

    def rollouts_changed(self, number: int) -> None:
        """Say that a person did something to a rollout."""
        self.bus.post(ROLLOUTS, "changed")
        self.bus.post(f"rollout:{number}", "changed", {"id": number})

    def devices_changed(self) -> None:
        """Say that devices came or went; returns when the server's own broker knows. Not on the loop."""
        self.bus.post(DEVICES, "changed")
        if self._loop is not None and self.let_in is not None:
            with self.database.read() as session:
                known = credentials(session)
            asyncio.run_coroutine_threadsafe(_await(self.let_in(known)), self._loop).result(LETTING_IN_S)

    # Tasks

    async def _hear_requests(self) -> None:
        """Have done at once what some process was asked for."""
        with self.bus.subscribe(*REQUESTS) as heard:
            async for message in heard:
                topics = REQUESTS if message.kind == "lost" else (message.topic,)
                if ROLLOUTS in topics:
                    self.engine.wake()
                    self.twin.wake()
                if self.service is not None:
                    if DESIRED in topics:
                        self.service.publisher.wake()
                    if DEVICES in topics:
                        self.service.devices_changed()

    async def _tell_numbers(self) -> None:
        """Tell whom it may concern what this process counts."""
        while True:
            if COUNTERS in self.bus.elsewhere:
                self.bus.publish(COUNTERS, "counted", {"worker": self.worker, "numbers": numbers_of(self)})
            await asyncio.sleep(COUNTERS_S)

    async def _hear_numbers(self) -> None:
        with self.bus.subscribe(COUNTERS) as heard:
            async for message in heard:
                if message.kind == "counted":
                    self.numbers.take(message.data["worker"], message.data["numbers"])

    def _reported(self, merged: Merged) -> None:
        if self.leads:
            self.engine.reported(merged.words)

    def _twin_done(self, rollout: int) -> None:
        self.engine.wake()
        self.bus.publish(f"rollout:{rollout}", "changed", {"id": rollout})

    def _ordered(self) -> None:
        if self.service is not None:
            self.service.publisher.wake()

    async def _elect(self) -> None:
        """Become the leader whenever there is none, and be it while the lease lasts."""
        while True:
            if await asyncio.to_thread(self.lease.acquire):
                self.leads = True
                try:
                    await self._lead()
                finally:
                    self.leads = False
                    await asyncio.to_thread(self.lease.release)
            await asyncio.sleep(LEASE_POLL_S)

    async def _lead(self) -> None:
        work = [asyncio.create_task(self._prune()), asyncio.create_task(self.engine.run())]
        work.append(asyncio.create_task(self.webhooks.run()))
        if self.settings.twin:
            work.append(asyncio.create_task(self.twin.run()))
        if self.service is not None:
            work.append(asyncio.create_task(self.service.lead()))
        renew = asyncio.create_task(self._renew())
        try:
            done, _ = await asyncio.wait({renew, *work}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                with contextlib.suppress(LostLeaseError):
                    task.result()
        finally:
            for task in (renew, *work):
                task.cancel()
            await asyncio.gather(renew, *work, return_exceptions=True)

    async def _renew(self) -> None:
        """Return when the lease is lost."""
        while True:
            await asyncio.sleep(self.settings.lease_s / 4)
            try:
                if not await asyncio.to_thread(self.lease.acquire):
                    return
            except WaselError as error:
                print(f"wasel fleet: {error}", file=sys.stderr, flush=True)
                return

    async def _prune(self) -> None:
        retention = Retention(self.database, self.settings)
        while True:
            await asyncio.sleep(PRUNE_S)
            await asyncio.to_thread(retention.round)


async def _await(work: Awaitable[None]) -> None:
    await work


def _read_ca(path: Path | None) -> tuple[str, str]:
    if path is None:
        return "", ""
    text = path.read_text(encoding="ascii")
    certificate = x509.load_pem_x509_certificate(text.encode())
    return text, hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
