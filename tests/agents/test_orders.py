# SPDX-License-Identifier: Apache-2.0
"""Commands over MQTT are done once and answered; counters are published while they change."""

from __future__ import annotations

import asyncio
import contextlib

from agent.errors import DeviceError
from agent.messages import Ack, Command, Metrics
from agent.orders import Orders
from agent.telemetry import publish_metrics


class Slot:
    def __init__(self, slot, digest):
        self.slot, self.digest = slot, digest


class Status:
    slots = (Slot(0, b"d" * 32), Slot(1, None))


class FakeDevice:
    def __init__(self):
        self.calls = []
        self.counters = [{"calls": 1, "name": "text"}, {"calls": 1}, {"calls": 2}]

    async def status(self):
        return Status()

    async def start(self, slot, args, env):
        self.calls.append(("start", slot, args, env))

    async def stop(self, slot):
        if slot == 9:
            raise DeviceError("no such slot", group=64, code=3)
        self.calls.append(("stop", slot))

    async def trace(self, slot, *, on):
        self.calls.append(("trace", slot, on))

    async def stats(self, _slot):
        return self.counters.pop(0) if len(self.counters) > 1 else self.counters[0]


class FakeBroker:
    def __init__(self):
        self.sent = []

    async def publish(self, topic, payload, *, qos=0):
        assert (topic, qos) == ("t", 1)
        self.sent.append(Ack.parse(payload))


async def until(condition):
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the condition is anything
            await asyncio.sleep(0.001)


@contextlib.asynccontextmanager
async def background(coroutine):
    task = asyncio.ensure_future(coroutine)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_each_command_is_done_once_and_answered_each_time():
    device, broker, done = FakeDevice(), FakeBroker(), []
    orders = Orders(lambda: device, lambda: done.append(1))
    first, second, bad = Command(b"1" * 8, "stop", 1), Command(b"2" * 8, "start", 0), Command(b"3" * 8, "stop", 9)
    async with background(orders.carry_out(broker, "t")):
        for command in (first, first, second, bad):
            orders.take(command)
        await until(lambda: len(broker.sent) == 3)
        orders.take(first)
        await until(lambda: len(broker.sent) == 4)
    assert device.calls == [("stop", 1), ("start", 0, ("module",), ())]
    assert broker.sent == [
        Ack(first.id, ok=True),
        Ack(second.id, ok=True),
        Ack(bad.id, ok=False, error="no such slot"),
        Ack(first.id, ok=True),
    ]
    assert len(done) == 2


async def test_without_a_device_a_command_says_so():
    broker = FakeBroker()
    orders = Orders(lambda: None, lambda: None)
    async with background(orders.carry_out(broker, "t")):
        orders.take(Command(b"1" * 8, "ping"))
        await until(lambda: broker.sent)
    assert not broker.sent[0].ok
    assert "does not reach" in broker.sent[0].error


async def test_a_trace_goes_to_the_server_from_trace_to_untrace():
    device, broker = FakeDevice(), FakeBroker()
    orders = Orders(lambda: device, lambda: None)
    async with background(orders.carry_out(broker, "t")):
        orders.take(Command(b"1" * 8, "trace", 1))
        await until(lambda: len(broker.sent) == 1)
        assert orders.tracing == {1}
        orders.take(Command(b"2" * 8, "untrace", 1))
        await until(lambda: len(broker.sent) == 2)
    assert orders.tracing == set()
    assert device.calls == [("trace", 1, True), ("trace", 1, False)]


async def test_too_many_commands_are_dropped_not_kept():
    device, broker = FakeDevice(), FakeBroker()
    orders = Orders(lambda: device, lambda: None)
    for number in range(100):
        orders.take(Command(number.to_bytes(8, "big"), "ping"))
    async with background(orders.carry_out(broker, "t")):
        await until(lambda: len(broker.sent) == 16)
        await asyncio.sleep(0.01)
    assert len(broker.sent) == 16


async def test_counters_are_published_while_they_change():
    device, sent = FakeDevice(), []

    async def publish(metrics):
        sent.append(metrics)

    async with background(publish_metrics(lambda: device, publish, 0.001)):
        await until(lambda: len(sent) == 2)
        await asyncio.sleep(0.05)
    assert sent == [Metrics({0: {"calls": 1}}), Metrics({0: {"calls": 2}})]
