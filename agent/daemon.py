# SPDX-License-Identifier: Apache-2.0
"""The agent of one device: holds its port, makes it what the broker's retained desired state says, reports.

Tasks: the link (open, greet, poll status and logs, reconcile, reopen), the publisher of the retained state, the control
socket. What to do is decided in `agent.reconcile` and done in `agent.worker`.

Nothing that must survive is only here: the desired state, the start records and the log cursors are on disk before
they are acted on, modules are in the cache by digest, everything else is read from the device again. The reported state
is retained and derived from the device, so it is published anew after any crash; logs wait in the device while the
broker is away (its history is bounded: a gap is reported as such).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import fcntl
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.agent_state import AgentState
from agent.carrier import Carrier
from agent.control import serve_control
from agent.errors import BrokerError, DeviceError, LinkError, MessageError, UsageError, WaselError
from agent.files import ModuleCache
from agent.follow import Pace
from agent.link.device import Device
from agent.link.modules import TRACE_STREAM
from agent.messages import ID_SIZE, Chunk, Command, Desired, Get, LogLine, SlotReport, State
from agent.mqtt import Broker
from agent.orders import Orders
from agent.patience import happens
from agent.registry import device_dir, device_port, lock_path, socket_path
from agent.telemetry import publish_metrics
from agent.text import printable
from agent.topics import TENANT, Topics
from agent.worker import Worker

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

    from agent.link.modules import SlotStatus, StatusAnswer
    from agent.messages import Metrics

__all__ = ["Agent", "AgentConfig"]

REPORT_INTERVAL_S = 0.1
"""Least time between two reports of the state."""
HEARTBEAT_S = 60.0
"""Most time between them."""
SAVE_INTERVAL_S = 2.0
"""Most time that a published log record is not in the cursors on disk."""
RECONNECT_S = (0.1, 3.0)
IDLE_POLL_S = 0.5


@dataclass(frozen=True)
class AgentConfig:
    """What `wasel agent` was asked for."""

    device: str
    broker: str
    port: str | None = None
    """None: from the device's device.json, read again at each connection."""
    state: Path | None = None
    """Root of the runtime files, None for the default."""
    tenant: str = TENANT
    tls: ssl.SSLContext | None = None
    """For mqtts://; None: the system's authorities, no certificate of our own."""
    sockets: bool = False
    """Carry the sockets of the device's modules over this machine's network."""


class Agent:
    """One run of the daemon."""

    def __init__(self, config: AgentConfig) -> None:
        self._config = config
        self._topics = Topics(config.device, config.tenant)
        self._directory = device_dir(config.device, config.state)
        self._device: Device | None = None
        self._status: StatusAnswer | None = None
        self._applied = 0
        self._dirty = asyncio.Event()
        self._poll_now = asyncio.Event()
        self._report = asyncio.Event()
        self._last_note = ""
        self._boot = os.urandom(ID_SIZE)
        self._reports = 0
        self._orders = Orders(lambda: self._device, self._started_or_stopped)
        self._restarted = False
        """The device printed its banner and has not been looked at since."""
        self._saved_s = 0.0

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        (self._directory / "agent").mkdir(parents=True, exist_ok=True)
        with self._lock():
            self._state = AgentState.load(self._directory / "agent" / "state.json")
            cache = ModuleCache(self._directory / "agent" / "modules")
            self._worker = Worker(self._state, cache, self._ask, self._report.set, self._poll_now.set, self._note)
            offline = State(
                online=False, device=self._config.device, accepted=self._state.desired.sequence, boot=self._boot
            ).encode()
            self._broker = Broker(
                self._config.broker,
                on_message=self._message,
                on_connected=self._report.set,
                will=(self._topics.state, offline),
                tls=self._config.tls,
            )
            self._carrier = Carrier(self._broker, self._topics.app, self._note, sockets=self._config.sockets)
            self._broker.subscribe(self._topics.desired, qos=1)
            self._broker.subscribe(self._topics.cmd, qos=1)
            self._broker.subscribe(self._topics.chunk)
            control = serve_control(
                socket_path(self._config.device, self._config.state),
                lambda: self._device.transport if self._device else None,
            )
            async with self._broker, control:
                self._note(f"serving {self._config.device} through {self._broker.address}")
                metrics = publish_metrics(lambda: self._device, self._publish_metrics)
                orders = self._orders.carry_out(self._broker, self._topics.ack)
                await self._until(stop, self._hold_link(), self._publish_states(), metrics, orders)
                self._state.save()
                with contextlib.suppress(BrokerError):
                    await self._broker.publish(
                        self._topics.state, self._build(online=False).encode(), qos=1, retain=True
                    )

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with lock_path(self._config.device, self._config.state).open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(f"device {self._config.device!r} already has an agent: stop that one first") from None
            file.truncate(0)
            file.write(self._config.port or device_port(self._config.device))  # an unknown device is an error now
            file.flush()
            yield

    @staticmethod
    async def _until(stop: asyncio.Event, *work: object) -> None:
        """Run coroutines until `stop` is set or one of them fails; none is left running."""
        tasks = [asyncio.ensure_future(coroutine) for coroutine in (stop.wait(), *work)]  # type: ignore[call-overload]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _note(self, text: str) -> None:
        if text != self._last_note:
            self._last_note = text
            print(f"wasel agent: {printable(text)}", file=sys.stderr, flush=True)

    # Messages from the broker

    def _message(self, topic: str, body: bytes) -> None:
        try:
            if self._carrier.message(topic, body):
                return
            if topic == self._topics.desired:
                if body:
                    self._desire(Desired.parse(body))
            elif topic == self._topics.chunk:
                self._worker.chunk(Chunk.parse(body))
            elif topic == self._topics.cmd:
                self._orders.take(Command.parse(body))
        except MessageError as error:
            self._note(str(error))

    def _desire(self, desired: Desired) -> None:
        have = self._state.desired
        if desired.sequence < have.sequence:
            self._note(f"desired state {desired.sequence} is older than {have.sequence}: ignored")
        elif desired.sequence == have.sequence:
            if desired != have:
                self._note(f"a second, different desired state {desired.sequence}: ignored; raise its sequence")
        else:
            self._state.desired = desired
            self._state.save()
            self._worker.failed.clear()
            self._dirty.set()

    def _started_or_stopped(self) -> None:
        self._poll_now.set()

    async def _publish_metrics(self, metrics: Metrics) -> None:
        with contextlib.suppress(BrokerError):
            await self._broker.publish(self._topics.met, metrics.encode())

    async def _ask(self, get: Get) -> None:
        try:
            await self._broker.publish(self._topics.get, get.encode())
        except BrokerError:
            await self._broker.connected.wait()  # the puller asks again

    # The link

    async def _hold_link(self) -> None:
        wait_s = RECONNECT_S[0]
        while True:
            try:
                port = self._config.port or device_port(self._config.device)
                async with Device(port, name=self._config.device, on_text=self._console) as device:
                    await self._greet(device, await device.status())
                    wait_s = RECONNECT_S[0]
                    self._note(f"{self._config.device} answers on {port}")
                    self._device = device
                    self._worker.failed.clear()
                    self._dirty.set()
                    await self._session(device)
            except LinkError as error:
                self._note(str(error))
            finally:
                self._device = None
                self._worker.progress.clear()
                self._report.set()
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, RECONNECT_S[1])

    async def _session(self, device: Device) -> None:
        dead = device.transport.dead
        died = asyncio.Event()
        if dead is not None:
            dead.add_done_callback(lambda _: died.set())
        await self._until(died, self._poll(device), self._reconcile(device), self._carrier.run(device))
        raise LinkError(f"{self._config.device}: the port closed")

    def _console(self, line: str) -> None:
        if line.startswith("wasel: ready"):
            self._restarted = True
            self._poll_now.set()

    async def _greet(self, device: Device, status: StatusAnswer) -> None:
        """Give a device that just booted what it cannot have by itself."""
        if status.random == "unseeded":
            self._state.cursors.clear()
            await device.seed(os.urandom(32))
        try:
            await device.set_clock(dt.datetime.now(dt.UTC))
        except DeviceError as error:
            self._note(str(error))

    async def _poll(self, device: Device) -> None:
        pace = Pace(most_s=IDLE_POLL_S)
        before: tuple[SlotStatus, ...] = ()
        while True:
            status = await device.status()
            emptied = any(was.digest and not now.digest for was, now in zip(before, status.slots, strict=False))
            if status.random == "unseeded" or self._restarted or emptied:
                self._note(f"{self._config.device} restarted")
                self._restarted = False
                await self._greet(device, status)
                self._worker.failed.clear()
                self._dirty.set()
            self._status = status
            self._carrier.noticed(status)
            moved = await self._publish_logs(device, status)
            now = tuple(slot.model_copy(update={"log_next": 0}) for slot in status.slots)
            if now != before:
                before = now
                self._report.set()
                moved = True
            if moved:
                pace.hit()
            if await happens(self._poll_now, pace.wait_s()):
                self._poll_now.clear()
                pace.hit()

    async def _publish_logs(self, device: Device, status: StatusAnswer) -> bool:
        moved = False
        for slot in status.slots:
            cursor = self._state.cursors.get(slot.slot, 0)
            if cursor > slot.log_next:
                cursor = 0
            if cursor == slot.log_next or not self._broker.connected.is_set():
                continue
            answer = await device.logs(slot.slot, cursor)
            try:
                if answer.dropped:
                    text = f"({answer.dropped} records were overwritten before they were read)"
                    await self._publish_log(LogLine(slot.slot, 0, cursor, text.encode(), line=True))
                for seq, stream, ends_line, data in answer.records:
                    if stream == TRACE_STREAM and slot.slot not in self._orders.tracing:
                        continue  # for who asked the device for it
                    await self._publish_log(LogLine(slot.slot, stream, seq, data, line=ends_line))
                    cursor = seq + 1
                cursor = max(cursor, answer.next)
            except BrokerError:
                pass
            moved = moved or self._state.cursors.get(slot.slot) != cursor
            self._state.cursors[slot.slot] = cursor
        now_s = asyncio.get_running_loop().time()
        if moved and now_s - self._saved_s > SAVE_INTERVAL_S:
            self._saved_s = now_s
            self._state.save()
        return moved

    async def _publish_log(self, record: LogLine) -> None:
        await self._broker.publish(self._topics.log, record.encode())

    # Reconciling

    async def _reconcile(self, device: Device) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            work = asyncio.ensure_future(self._worker.converge(device))
            changed = asyncio.ensure_future(self._dirty.wait())
            try:
                await asyncio.wait({work, changed}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    sequence = work.result()
                    self._status = await device.status()  # before the sequence: a report has the slots it speaks of
                    self._applied = sequence
                    self._report.set()
            finally:
                work.cancel()
                changed.cancel()
                await asyncio.gather(work, changed, return_exceptions=True)

    # Reporting

    def _build(self, *, online: bool) -> State:
        status = self._status
        self._reports += 1
        return State(
            online=online,
            device=self._config.device,
            sequence=self._applied,
            accepted=self._state.desired.sequence,
            link=self._device is not None,
            kernel=status.kernel if status else "",
            version=status.device_version if status else "",
            arena=status.arena if status else 0,
            image=status.image if status else "",
            device_class=status.device_class if status else "",
            native=status.native if status else "",
            boot=self._boot,
            report=self._reports,
            slots=tuple(_report(slot) for slot in status.slots) if status else (),
            progress=dict(self._worker.progress),
            errors=dict(self._worker.failed),
        )

    async def _publish_states(self) -> None:
        while True:
            await happens(self._report, HEARTBEAT_S)
            await self._broker.connected.wait()
            self._report.clear()
            try:
                await self._broker.publish(self._topics.state, self._build(online=True).encode(), qos=1, retain=True)
            except BrokerError as error:
                self._note(str(error))
                self._report.set()
            except WaselError as error:
                self._note(str(error))
            await asyncio.sleep(REPORT_INTERVAL_S)


def _report(slot: SlotStatus) -> SlotReport:
    """Give a slot's status as the agent reports it: the manifest's number is called `release` there."""
    known = {field.name for field in dataclasses.fields(SlotReport)}
    return SlotReport(**slot.model_dump(include=known), release=slot.sequence)
