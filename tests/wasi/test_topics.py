# SPDX-License-Identifier: Apache-2.0
"""Topics as files: a module on the simulator or a device, a real broker, and the agent's carrier between them."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import pytest_asyncio

from agent.carrier import Carrier
from agent.link.device import Device as Link
from agent.mqtt import Broker as Client
from agent.topics import Topics
from edge_engine.zig import ROOT, WASI, compile_objects, link
from qemu.launcher import image_for, running_device
from qemu.sim import SimOptions, running_simulator
from tests.brokers import broker_or_skip
from tests.wasi.device import TIMEOUT_S, finished, flash, needs, output

OUT = ROOT / "build" / "tests" / "wasi"
TOPICS = Topics("dev")
GRANTS = ("publish=room/#", "publish=answer", "subscribe=ask")


@pytest.fixture(scope="module")
def guest():
    """The C program with its stories."""
    objects = compile_objects(
        [ROOT / "tests" / "wasi" / "outside.c"], OUT / "outside", WASI, ("-Oz", "-Wall", "-Werror")
    )
    return link(objects, OUT / "outside.wasm", WASI, ("-Wl,--strip-all", "-Wl,-z,stack-size=65536")).read_bytes()


@pytest_asyncio.fixture
async def broker(tmp_path):
    async with broker_or_skip(tmp_path) as running:
        yield running


@contextlib.asynccontextmanager
async def carrying(broker, device, *, sockets=False):
    """Carry the device's mail for the time of the block; gives what is noted."""
    notes: list[str] = []
    carriers: list[Carrier] = []

    def deliver(topic, body):
        carriers[0].message(topic, body)

    async with Client(broker.url, on_message=deliver) as client:
        carriers.append(Carrier(client, TOPICS.app, notes.append, sockets=sockets))
        task = asyncio.ensure_future(carriers[0].run(device))
        try:
            yield notes
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def listening(broker):
    """A client that hears everything below the device's prefix: (client, queue of topic and message)."""
    heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
    async with Client(broker.url, on_message=lambda topic, body: heard.put_nowait((topic, body))) as client:
        client.subscribe(TOPICS.app + "#", qos=1)
        yield client, heard


async def hear(heard, topic):
    """Wait for the next message of a topic."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            came, message = await heard.get()
            if came == TOPICS.app + topic:
                return message


async def start(device, *arguments, grants=GRANTS):
    before = (await device.slot(0)).log_next
    await device.start(0, ("outside", *arguments), grants=grants, lossless=True)
    return before


async def ended(device, before):
    state = await finished(device, 0)
    return state.state, state.exit, (await output(device, 0, before)).decode()


@contextlib.asynccontextmanager
async def simulated(guest):
    async with running_simulator(SimOptions(sanitize=True)) as running, Link(running.port, name="sim") as device:
        await flash(device, 0, guest)
        yield device


async def story_of_messages(device, broker):
    """Both directions: lines are messages, a long one is read in parts, boundaries stay."""
    async with listening(broker) as (client, heard), carrying(broker, device):
        before = await start(device, "say", "30")
        for number in range(30):
            assert await hear(heard, "room/temperature") == b"%d degrees\n" % number
        assert await ended(device, before) == ("exited", 0, "said\n")
        before = await start(device, "echo")
        assert await hear(heard, "answer") == b"here"
        for question in (b"one", b"seven chars", b"stop"):
            await client.publish(TOPICS.app + "ask", question, qos=1)
        assert await hear(heard, "answer") == b"one"
        assert [await hear(heard, "answer") for _ in range(3)] == [b"seven", b" char", b"s"]
        assert await ended(device, before) == ("exited", 0, "stopped\n")


async def test_messages_both_ways(guest, broker):
    async with simulated(guest) as device:
        await story_of_messages(device, broker)


async def test_without_blocking_and_without_a_grant(guest, broker):
    async with simulated(guest) as device, carrying(broker, device):
        assert await ended(device, await start(device, "quiet")) == ("exited", 0, "quiet\n")
        assert await ended(device, await start(device, "denied")) == ("exited", 0, "denied\n")
        state, code, text = await ended(device, await start(device, "say", "1", grants=()))
        assert (state, code) == ("exited", 1)  # no /mqtt at all
        assert "file != NULL" in text


async def test_a_module_waits_until_its_messages_are_taken(guest, broker):
    async with simulated(guest) as device:
        before = await start(device, "flood", "100")  # nobody carries anything yet
        await asyncio.sleep(0.3)
        assert (await device.slot(0)).state == "running"
        async with listening(broker) as (_, heard), carrying(broker, device):
            for number in range(100):
                assert await hear(heard, "answer") == bytes([ord("a") + number % 26]) * 1000
            assert await ended(device, before) == ("exited", 0, "flooded\n")


async def test_a_new_agent_goes_on(guest, broker):
    async with simulated(guest) as device, listening(broker) as (client, heard):
        async with carrying(broker, device):
            before = await start(device, "echo")
            assert await hear(heard, "answer") == b"here"
        async with carrying(broker, device):
            async with asyncio.timeout(TIMEOUT_S):
                while heard.empty():  # until it has subscribed again
                    await client.publish(TOPICS.app + "ask", b"on", qos=1)
                    await asyncio.sleep(0.1)
                    while not heard.empty() and heard._queue[0][0] == TOPICS.app + "ask":  # noqa: SLF001
                        heard.get_nowait()
            assert await hear(heard, "answer") == b"on"
            await client.publish(TOPICS.app + "ask", b"stop", qos=1)
            assert await ended(device, before) == ("exited", 0, "stopped\n")


@pytest.mark.system
@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_on_a_device(kernel, guest, broker):
    needs(kernel)
    async with (
        running_device("topics", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        await flash(device, 0, guest)
        await story_of_messages(device, broker)
