# SPDX-License-Identifier: Apache-2.0
"""Device operations over a socket against the simulated device, with a good and with a bad line."""

from __future__ import annotations

import asyncio
import datetime as dt
import hashlib
import os
import socket
import tty

import pytest
from smpclient import SMPClient
from smpclient.generics import success
from smpclient.requests.image_management import ImageStatesRead

from agent.errors import BadAnswerError, DeviceError, LinkLostError, NoAnswerError, PortError
from agent.link.cobs import frame
from agent.link.device import Device
from agent.link.frames import FrameDecoder, Message, encode_frames
from agent.link.modules import ModuleError
from agent.link.simulated import Faults, SimulatedDevice, module, serve
from agent.link.transport import FramedTransport


async def test_upload_pending_start_logs():
    device = SimulatedDevice()
    data = module("print hello $1", "err $COLOR", "exit 7", size=20000)
    seen = []
    async with serve(device) as url, Device(url) as link:
        sent = await link.upload(1, data, seen.append)
        assert sent == len(data) == seen[-1]
        assert seen == sorted(seen)
        assert await link.candidate(1) == hashlib.sha256(data).digest()
        assert (await link.slot(1)).state == "empty"
        await link.set_pending(hashlib.sha256(data).digest())
        assert await link.start(1, ("hello.wasm", "world"), (("COLOR", "red"),)) == 1
        slot = await link.slot(1)
        assert (slot.state, slot.exit, slot.digest) == ("exited", 7, hashlib.sha256(data).digest())
        logs = await link.logs(1, 0)
        assert logs.records == [(0, 1, True, b"hello world"), (1, 2, True, b"red")]
        assert (await link.logs(1, logs.next)).records == []
        assert (await link.stats(1))["starts"] == 1


async def test_seed_clock_echo_reset():
    device = SimulatedDevice()
    lines = []
    async with serve(device) as url, Device(url, on_text=lines.append) as link:
        assert (await link.status()).random == "unseeded"
        await link.seed(bytes(32))
        assert (await link.status()).random == "seeded"
        await link.set_clock(dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
        assert device.datetime.startswith("2026-01-02T03:04:05")
        assert await link.echo("text") == "text"
        await link.reset()
        assert (await link.status()).random == "seeded"
        assert "wasel: ready" in lines


async def test_upload_resumes_where_the_device_is():
    device = SimulatedDevice(buf_size=1024, buf_count=1)
    data = module("print x", size=50000)

    async with serve(device) as url:
        async with Device(url) as link:
            task = asyncio.create_task(link.upload(0, data))
            while device.received_upload_bytes < 20000:  # noqa: ASYNC110 - the device knows no tasks
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        async with Device(url) as link:
            first = []
            sent = await link.upload(0, data, first.append)
    assert first[0] >= 19000
    assert sent < 33000


async def test_candidate_rules_of_the_device():
    one, two = module("print one", "run"), module("print two", "run")
    names = {hashlib.sha256(data).digest(): name for name, data in (("one", one), ("two", two))}
    device = SimulatedDevice()
    async with serve(device) as url, Device(url) as link:
        for data in (one, two):
            await link.upload(0, data)
            await link.set_pending(hashlib.sha256(data).digest(), confirm=data is one)
            await link.start(0)
        with pytest.raises(DeviceError, match="slot busy"):
            await link.start(0)
        await link.stop(0)
        await link.start(0)  # two was not confirmed: back to one
        await link.stop(0)
        await link.erase_active(0)
        assert (await link.slot(0)).state == "empty"
    assert [names[digest] for _, digest in device.started] == ["one", "two", "one"]


async def test_error_codes_have_names():
    async with serve(SimulatedDevice(module_max=1000)) as url, Device(url) as link:
        with pytest.raises(DeviceError, match="image too large"):
            await link.upload(0, bytes(1001))
        with pytest.raises(DeviceError, match="slot empty") as caught:
            await link.start(0)
        assert caught.value.code == ModuleError.SLOT_EMPTY
        with pytest.raises(DeviceError, match="fewer or shorter arguments"):
            await link.start(0, ("x" * 9000,))
        with pytest.raises(DeviceError, match="no slot 9"):
            await link.start(9)
        with pytest.raises(DeviceError):
            await link.set_pending(bytes(32))
        with pytest.raises(DeviceError, match="no such slot"):
            await link.stop(9)


async def test_bad_line_delivers_the_right_bytes():
    device = SimulatedDevice(buf_size=512, buf_count=4)
    data = module("print x", size=30000)
    faults = Faults(drop=0.01, duplicate=0.01, corrupt=0.01, seed=5)
    async with serve(device, faults=faults) as url:
        link = Device(url, timeout_s=0.05)
        link_open = False
        for _ in range(5):
            try:
                await link.open()
                link_open = True
                break
            except NoAnswerError:
                continue
        assert link_open
        await link.upload(0, data)
        await link.set_pending(hashlib.sha256(data).digest())
        assert await link.start(0) == 1
        assert link.transport.counters.bad_frames > 0
        await link.close()
    assert device.started == [(0, hashlib.sha256(data).digest())]


async def test_dead_link_fails_all_requests_at_once():
    opened = []

    async def close_after_one(reader, writer):
        opened.append(writer)
        await reader.read(10)
        writer.close()

    server = await asyncio.start_server(close_after_one, "127.0.0.1", 0)
    async with server:
        link = Device(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=30)
        with pytest.raises(LinkLostError):
            await asyncio.wait_for(link.open(), 10)


async def test_silent_device_is_no_answer():
    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        link = Device(f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=0.02)
        with pytest.raises(NoAnswerError, match="is the device running"):
            await link.open()


async def test_nobody_there_is_a_port_error():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"socket://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(PortError, match="cannot be opened"):
        await Device(url).open()
    with pytest.raises(PortError, match="cannot be opened"):
        await Device("/dev/no-such-port").open()


class Nonsense(SimulatedDevice):
    def _status(self):
        return super()._status() | self.lie


@pytest.mark.parametrize(
    "lie", [{"slots": 5}, {"protocol": 2}, {"slots": [{"slot": 1, "state": "empty"}]}, {"header": 1}, {"smp_data": 2}]
)
async def test_answers_against_the_protocol_are_named(lie):
    device = Nonsense()
    device.lie = lie
    async with serve(device) as url, Device(url) as link:
        with pytest.raises(BadAnswerError):
            await link.status()


async def test_pyserial_url_without_descriptor_echoes_our_frames():
    transport = FramedTransport()
    await transport.connect("loop://", 2.0)
    await transport.send(bytes(8))
    assert await asyncio.wait_for(transport.receive(), 5) == bytes(8)
    await transport.disconnect()


async def test_a_real_serial_port_and_its_end():
    """A pseudo terminal goes the way of a real port: pyserial, a descriptor that the loop watches, exclusive use."""
    device = SimulatedDevice()
    data = module("print x", size=20000)
    master, slave = os.openpty()
    tty.setraw(slave)

    loop = asyncio.get_running_loop()
    loop.add_reader(master, lambda: os.write(master, device.feed(os.read(master, 4096))))
    try:
        async with Device(os.ttyname(slave), timeout_s=30) as link:
            await link.upload(0, data)
            assert await link.candidate(0) == hashlib.sha256(data).digest()
            with pytest.raises(PortError, match="another program holds it"):
                await Device(os.ttyname(slave)).open()
            loop.remove_reader(master)
            waiting = asyncio.create_task(link.echo("nobody reads this"))
            await asyncio.sleep(0)
            os.close(master)  # unplugged
            with pytest.raises(LinkLostError):
                await asyncio.wait_for(waiting, 10)
    finally:
        os.close(slave)


async def test_smpclient_itself_works_on_our_transport():
    device = SimulatedDevice()
    data = module("print x", size=9000)
    async with serve(device) as url, SMPClient(FramedTransport(), url) as client:
        assert [offset async for offset in client.upload(data)][-1] == len(data)
        states = await client.request(ImageStatesRead())
        assert success(states)
        assert states.images[0].hash == hashlib.sha256(data).digest()


class Cutting(SimulatedDevice):
    """Dies before the n-th line from the host (inward), or goes silent before its own n-th line."""

    def __init__(self, left, *, inward):
        super().__init__(buf_size=700, buf_count=2)
        self.left, self._inward = left, inward

    def feed(self, received):
        if not self._inward:
            return self._spend(super().feed(received))
        allowed = self._spend(received)
        answer = super().feed(allowed)
        if len(allowed) < len(received):
            raise ConnectionError
        return answer

    def _spend(self, data):
        lines = data.splitlines(keepends=True)
        kept = lines[: self.left]
        self.left -= len(kept)
        return b"".join(kept)


async def flash(url, data):
    digest = hashlib.sha256(data).digest()
    async with Device(url, timeout_s=0.1) as link:
        if (await link.slot(0)).digest != digest:
            if await link.candidate(0) != digest:
                await link.upload(0, data)
            await link.set_pending(digest)
            await link.start(0)


@pytest.mark.parametrize("inward", [True, False])
async def test_link_cut_at_any_line_of_a_flash_a_retry_completes_and_starts_once(inward):
    data = module("print x", "run", size=2500)
    cuts = 0
    for cut in range(200):
        device = Cutting(cut, inward=inward)
        async with serve(device) as url:
            try:
                await flash(url, data)
                break
            except (LinkLostError, NoAnswerError):
                cuts += 1
            device.left = 1 << 30
            await flash(url, data)
        assert device.started == [(0, hashlib.sha256(data).digest())], cut
        if inward:
            assert device.received_upload_bytes < len(data) + 700
    assert cuts >= 10


class Noisy(SimulatedDevice):
    """Has something happen to the n-th frame in one direction: lost, damaged, doubled, or overtaken by the next."""

    def __init__(self, number, fault, *, inward):
        super().__init__(buf_size=700, buf_count=2)
        self._number, self._fault, self._inward = number, fault, inward
        self._frames = FrameDecoder()
        self._held = b""
        self.happened = False

    def feed(self, received):
        if not self._inward:
            return self._pass(super().feed(received))
        return super().feed(self._pass(received))

    def _pass(self, data):
        out = b""
        for event in self._frames.feed(data):
            if not isinstance(event, Message):
                continue
            one = frame(event.data) if event.cobs else encode_frames(event.data)
            self._number -= 1
            if self._number == 0:
                self.happened = True
                if self._fault == "overtaken":
                    self._held = one
                    continue
                one = {"lost": b"", "damaged": one[:5] + b"\x55" + one[6:], "doubled": one * 2}[self._fault]
            out += one + self._held
            self._held = b""
        return out


@pytest.mark.parametrize("inward", [True, False])
@pytest.mark.parametrize("fault", ["lost", "damaged", "doubled", "overtaken"])
async def test_whatever_happens_to_any_one_frame_the_module_arrives_and_starts_once(fault, inward):
    data = module("print x", "run", size=2500)
    for number in range(1, 100):
        device = Noisy(number, fault, inward=inward)
        async with serve(device) as url:
            await flash(url, data)
        assert device.started == [(0, hashlib.sha256(data).digest())], number
        if not device.happened:
            break
    assert number >= 10
