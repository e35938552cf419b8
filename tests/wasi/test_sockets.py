# SPDX-License-Identifier: Apache-2.0
"""Sockets of a module: on the simulator or a device, carried by the agent's carrier, with peers on this machine."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest

from agent.link.device import Device as Link
from edge_engine.zig import ROOT, WASI, compile_objects, link
from qemu.launcher import image_for, running_device
from tests.wasi.device import TIMEOUT_S, flash, needs
from tests.wasi.test_topics import broker, carrying, ended, simulated, start

__all__ = ["broker"]  # a fixture
OUT = ROOT / "build" / "tests" / "wasi"


@pytest.fixture(scope="module")
def guest():
    """The C program with its stories."""
    objects = compile_objects(
        [ROOT / "tests" / "wasi" / "sockets.c"], OUT / "sockets", WASI, ("-Oz", "-Wall", "-Werror")
    )
    return link(objects, OUT / "sockets.wasm", WASI, ("-Wl,--strip-all", "-Wl,-z,stack-size=65536")).read_bytes()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Answering(asyncio.DatagramProtocol):
    """Answers every datagram."""

    def __init__(self):
        self.asked = []

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.asked.append(data)
        self.transport.sendto(b"answer", addr)


async def echo(reader, writer):
    """Send everything back, then end."""
    while data := await reader.read(4096):
        writer.write(data)
        await writer.drain()
    writer.close()


async def story_of_a_client(device):
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        before = await start(device, "client", str(port), grants=(f"connect=tcp:127.0.0.1:{port}",))
        assert await ended(device, before) == ("exited", 0, "70000 bytes came back\n")


async def wait_for(device, before, line):
    async with asyncio.timeout(TIMEOUT_S):
        for pause_s in itertools.repeat(0.05):
            if any(record[3] == line for record in (await device.logs(0, before)).records):
                return
            await asyncio.sleep(pause_s)


async def story_of_a_server(device):
    port = free_port()
    before = await start(device, "server", str(port), grants=(f"listen=tcp:127.0.0.1:{port}",))
    await wait_for(device, before, b"listening")
    for message in (b"first", b"second"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(message)
        async with asyncio.timeout(TIMEOUT_S):
            assert await reader.readexactly(len(message)) == message
            assert await reader.read() == b""
        writer.close()
    assert await ended(device, before) == ("exited", 0, "listening\nserved\n")


async def story_of_datagrams(device):
    loop = asyncio.get_running_loop()
    transport, peer = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    before = await start(device, "datagrams", str(port), grants=(f"connect=udp:127.0.0.1:{port}",))
    assert await ended(device, before) == ("exited", 0, "asked\n")
    assert peer.asked == [b"question"]
    transport.close()


@pytest.mark.parametrize("story", [story_of_a_client, story_of_a_server, story_of_datagrams])
async def test_on_the_simulator(guest, broker, story):
    async with simulated(guest) as device, carrying(broker, device, sockets=True):
        await story(device)


async def test_what_is_not_granted_or_not_there(guest, broker):
    async with simulated(guest) as device, carrying(broker, device, sockets=True):
        port = free_port()
        before = await start(device, "refused", str(port), grants=(f"connect=tcp:127.0.0.1:{port}",))
        assert await ended(device, before) == ("exited", 0, "refused\n")
        assert await ended(device, await start(device, "denied", grants=())) == ("exited", 0, "denied\n")


async def test_an_agent_without_sockets_carries_none(guest, broker):
    async with simulated(guest) as device, carrying(broker, device) as notes:
        state, code, text = await ended(
            device, await start(device, "client", "80", grants=("connect=tcp:127.0.0.1:80",))
        )
        assert (state, code) == ("exited", 1)
        assert "sock_connect" in text
        assert any("--sockets" in note for note in notes)


@pytest.mark.system
@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_on_a_device(kernel, guest, broker):
    needs(kernel)
    async with (
        running_device("sockets", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
        carrying(broker, device, sockets=True),
    ):
        await flash(device, 0, guest)
        for story in (story_of_a_client, story_of_a_server, story_of_datagrams):
            await story(device)
