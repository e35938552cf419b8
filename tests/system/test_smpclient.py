# SPDX-License-Identifier: Apache-2.0
"""Somebody else's SMP client, unchanged, against the device: smpclient with its own serial transport.

A pseudo terminal stands for the serial port that smpclient opens; a task of the test carries its bytes to and from the
device's TCP port.
"""

import asyncio
import contextlib
import hashlib
import os
import tty
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from smp.image_management import ImageState
from smpclient import SMPClient
from smpclient.generics import error, success
from smpclient.requests.image_management import ImageErase, ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import DateTimeRead, EchoWrite, MCUMgrParametersRead
from smpclient.transport.serial import SMPSerialTransport

from agent.link.device import Device as Link
from qemu.launcher import Device
from tests.system import modules as m
from tests.system.conftest import follow

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def module() -> bytes:
    return m.compile_c(m.ROOT / "examples" / "hello" / "hello.c", "-DVERSION=1")


@contextlib.asynccontextmanager
async def serial_port(device: Device) -> AsyncIterator[str]:
    """Path of a terminal that is the device's UART."""
    parts = urlsplit(device.record.port)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: writer.write(os.read(master, 65536)))

    async def to_terminal() -> None:
        while data := await reader.read(4096):
            while data:
                try:
                    data = data[os.write(master, data) :]
                except BlockingIOError:
                    await asyncio.sleep(0.001)

    task = asyncio.create_task(to_terminal())
    try:
        yield os.ttyname(slave)
    finally:
        loop.remove_reader(master)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        writer.close()
        os.close(master)
        os.close(slave)


@pytest_asyncio.fixture
async def client(device: Device) -> AsyncIterator[SMPClient]:
    async with serial_port(device) as path:
        opened = SMPClient(SMPSerialTransport(), path, timeout_s=10)
        await opened.connect()
        yield opened
        await opened.disconnect()


async def states(client: SMPClient) -> list[ImageState]:
    answer = await client.request(ImageStatesRead())
    assert success(answer), answer
    return list(answer.images)


async def test_echo_parameters_and_clock(client: SMPClient) -> None:
    text = "x" * 200
    answer = await client.request(EchoWrite(d=text))
    assert success(answer)
    assert answer.r == text
    parameters = await client.request(MCUMgrParametersRead())
    assert success(parameters)
    assert parameters.buf_size >= 1024
    clock = await client.request(DateTimeRead())
    assert success(clock)
    assert clock.datetime.startswith("20")


async def test_image_upload_state_test_and_erase(client: SMPClient, module: bytes) -> None:
    digest = hashlib.sha256(module).digest()
    assert success(await client.request(ImageErase(slot=3)))  # what earlier tests left; MCUboot's number, as below
    offsets = [offset async for offset in client.upload(module, slot=1)]
    assert offsets[-1] == len(module)
    (candidate,) = [image for image in await states(client) if image.image == 1 and image.slot == 1]
    assert candidate.hash == digest
    assert not candidate.pending

    answer = await client.request(ImageStatesWrite(hash=digest, confirm=True))
    assert success(answer), answer
    (candidate,) = [image for image in answer.images if image.image == 1 and image.slot == 1]
    assert candidate.pending

    wrong = await client.request(ImageStatesWrite(hash=bytes(32), confirm=True))
    assert error(wrong)

    assert success(await client.request(ImageErase(slot=3)))  # MCUboot's number of image 1's second slot
    assert [image for image in await states(client) if image.image == 1 and image.slot == 1] == []


async def test_what_smpclient_uploads_runs(device: Device, module: bytes) -> None:
    async with serial_port(device) as path:
        client = SMPClient(SMPSerialTransport(), path, timeout_s=10)
        await client.connect()
        async for _ in client.upload(module, slot=0):
            pass
        assert success(await client.request(ImageStatesWrite(hash=hashlib.sha256(module).digest(), confirm=True)))
        await client.disconnect()
    async with Link(device.record.port) as link:
        cursor = (await link.slot(0)).log_next
        await link.start(0, ("hello",))
        assert (await follow(link, 0, cursor)).stdout.startswith(b"hello, world: this is version 1\n")
