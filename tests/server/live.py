# SPDX-License-Identifier: Apache-2.0
"""A whole server in the test's loop: mosquitto, application, clients of the API, and agents that speak MQTT."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import os
from dataclasses import dataclass, field

import httpx

from agent.messages import Ack, Chunk, Command, Desired, Get, SlotReport, State
from agent.module_file import append_section
from agent.mqtt import BrokerAddress
from fleet import access
from fleet.access import SYSTEM, Role
from fleet.app import create_app
from fleet.broker import BrokerSettings, running_broker
from fleet.enrolment import credentials, enroll_many
from fleet.mqtt_connection import MqttConnection
from fleet.mqtt_packets import Connect
from fleet.settings import Settings

DEADLINE_S = int(os.environ.get("WASEL_TEST_DEADLINE_S", "120"))
"""Generous: the machine may be busy."""


async def until(condition, what="it"):
    """Wait for a condition (a function, or one that gives an awaitable)."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                value = condition()
                if asyncio.iscoroutine(value):
                    value = await value
                if value:
                    return value
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not happen within {DEADLINE_S} s") from None


def module(text: str, size: int = 0) -> bytes:
    """Make a module with a custom section that says what virtual devices do with it."""
    plain = append_section(b"\0asm\1\0\0\0", "wasel.script", text.encode())
    return append_section(plain, "padding", bytes(size)) if size else plain


@dataclass
class Live:
    """The running server."""

    app: object
    broker: object
    http: httpx.AsyncClient
    tokens: dict[Role, str]
    stop: object
    """Ends the server."""

    @property
    def fleet(self):
        return self.app.state.fleet

    async def ask(self, method, path, role=Role.ADMIN, **options):
        answer = await self.http.request(
            method, f"/api/v1{path}", headers={"Authorization": f"Bearer {self.tokens[role]}"}, **options
        )
        assert answer.status_code < 400, answer.text
        return answer.json() if answer.content else None

    async def upload(self, data, **query):
        return (await self.ask("POST", "/artifacts", content=data, params={"file": "app.wasm", **query}))["digest"]

    async def device(self, name):
        return await self.ask("GET", f"/devices/{name}")


@contextlib.asynccontextmanager
async def serving(tmp_path, **options):
    """Run a server with a broker of its own."""
    async with (
        running_broker(tmp_path / "broker", BrokerSettings(port=0)) as broker,
        application(tmp_path, broker, **options) as live,
    ):
        yield live


@contextlib.asynccontextmanager
async def application(tmp_path, broker, worker=0, **options):
    """Run one worker."""
    settings = Settings(
        **{
            "data": tmp_path / "fleet",
            "allow_unsigned": True,
            "broker_url": broker.server_url(worker),
            "device_broker_url": broker.url,
            "device_ca": str(broker.ca),
            "share_group": broker.share_group,
        }
        | options
    )
    app = create_app(settings)
    fleet = app.state.fleet
    fleet.let_in = broker.set_devices
    with fleet.database.write() as session:
        tokens = {}
        for role in Role:
            name = f"{role.text}{worker}"
            user = access.create_user(session, SYSTEM, name, role)
            tokens[role] = access.create_token(session, SYSTEM, user, "test")
    async with contextlib.AsyncExitStack() as life:
        await life.enter_async_context(app.router.lifespan_context(app))
        await until(fleet.service.link.connected.is_set, "a connection to the broker")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=DEADLINE_S) as http:
            yield Live(app, broker, http, tokens, life.aclose)


async def devices(live, *names):
    """Make devices known; gives their agents."""

    def make():
        with live.fleet.database.write() as session:
            passwords = enroll_many(session, SYSTEM, names)
            return passwords, credentials(session)

    passwords, known = await asyncio.to_thread(make)
    await live.broker.set_devices(known)
    live.fleet.service.devices_changed()
    await until(lambda: live.fleet.service._names >= set(names))
    return [FakeAgent(name, live.broker.device_url(name, passwords[name], tls=False)) for name in names]


@dataclass
class FakeAgent:
    """An agent with a device that does what a module's script says: `run`, `exit N`, `trap NAME`."""

    name: str
    url: str
    slots: dict[int, SlotReport] = field(default_factory=dict)
    desired: Desired = field(default_factory=lambda: Desired(0))
    modules: dict[bytes, bytes] = field(default_factory=dict)
    seen: list[int] = field(default_factory=list)
    """Sequences of desired states, as they came."""
    applied: int = 0
    device_class: str = ""
    reports: int = 0
    broken: int = 0
    """Orders that fail from here on."""
    errors: dict[int, str] = field(default_factory=dict)
    boot: bytes = field(default_factory=lambda: os.urandom(8))

    def topic(self, leaf):
        return f"wasel/1/default/{self.name}/{leaf}"

    def state(self, *, online=True):
        self.reports += 1
        return State(
            online,
            self.name,
            self.applied,
            self.desired.sequence,
            link=True,
            kernel="virtual",
            version="0.1.0",
            slots=tuple(self.slots.values()),
            arena=8 << 20,
            device_class=self.device_class,
            errors=self.errors,
            boot=self.boot,
            report=self.reports,
        ).encode()

    @contextlib.asynccontextmanager
    async def running(self):
        address = BrokerAddress.parse(self.url)
        self.inbox = asyncio.Queue()
        will = (self.topic("state"), State(online=False, device=self.name, boot=self.boot).encode())
        self.link = await MqttConnection.open(
            address.host,
            address.port,
            Connect(self.name, address.user, address.password, will=will),
            self.inbox.put_nowait,
            lambda _reason: None,
        )
        await self.link.subscribe([(self.topic(leaf), 1) for leaf in ("desired", "chunk", "cmd")])
        task = asyncio.create_task(self._work())
        self.report()
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.link.abort()

    def report(self, *, online=True):
        self.link.publish(self.topic("state").encode(), self.state(online=online), qos=1, retain=True)

    async def _work(self):
        while True:
            message = await self.inbox.get()
            leaf = message.topic.rpartition("/")[2]
            if not message.body:
                continue
            if leaf == "desired":
                self._take(Desired.parse(message.body))
            elif leaf == "chunk":
                chunk = Chunk.parse(message.body)
                have = self.modules.setdefault(chunk.digest, b"")
                if chunk.offset == len(have):
                    self.modules[chunk.digest] = have + chunk.data
                self._converge()
            elif leaf == "cmd":
                command = Command.parse(message.body)
                self.link.publish(self.topic("ack").encode(), Ack(command.id, ok=True).encode(), qos=1)

    def _take(self, desired):
        self.seen.append(desired.sequence)
        if desired.sequence > self.desired.sequence:
            self.desired = desired
            self._converge()

    def _converge(self):
        for slot in self.desired.slots.values():
            have = self.modules.get(slot.digest, b"")
            if len(have) < slot.size:
                self.link.publish(self.topic("get").encode(), Get(slot.digest, len(have), 16384, 1).encode())
                return
        if self.applied == self.desired.sequence:
            return
        self.applied = self.desired.sequence
        self.errors = {}
        if self.broken and self.desired.slots:
            self.broken -= 1
            self.errors = {0: "no space"}
            self.report()
            return
        for number in set(self.slots) - set(self.desired.slots):
            self.slots[number] = dataclasses.replace(self.slots[number], state="stopped")
        for number, slot in self.desired.slots.items():
            data = self.modules[slot.digest]
            assert hashlib.sha256(data).digest() == slot.digest
            before = self.slots.get(number)
            if before is None or before.digest != slot.digest:
                starts = before.starts + 1 if before else 1
                self.slots[number] = self._run(number, slot.digest, len(data), starts, data)
        self.report()

    @staticmethod
    def _run(number, digest, size, starts, data):
        common = {"digest": digest, "size": size, "starts": starts}
        if b"trap " in data:
            return SlotReport(number, "trapped", trap="unreachable", **common)
        if b"exit " in data:
            return SlotReport(number, "exited", exit=int(data.split(b"exit ")[1][:1]), **common)
        return SlotReport(number, "running", **common)
