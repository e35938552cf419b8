# SPDX-License-Identifier: Apache-2.0
"""A device whose engines are the enemy: 100,000 random messages from one slot, while the other slot works on."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import struct

import pytest

from agent.link.device import Device as Link
from edge_engine.zig import ROOT, WASI, compile_objects, link
from qemu.launcher import running_device
from sel4_bridge.variant import Change, build_variant

pytestmark = pytest.mark.system
OUT = ROOT / "build" / "tests" / "wasi"
LINES = 150
MESSAGES = 100_000
TIMEOUT_S = 240.0


@pytest.fixture(scope="module", params=["standin", "sel4"])
def hostile_image(request):
    """The device's image with the test build of the engine."""
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    if request.param == "sel4" and not os.environ.get("MICROKIT_SDK"):
        pytest.skip("MICROKIT_SDK is not set: genuine seL4 needs the Microkit SDK")
    source = ROOT / "tests" / "wasi" / "hostile_engine.c"
    return request.param, build_variant("hostile", request.param, (Change("engine", (source,), "sb_run"),))


@pytest.fixture(scope="module")
def tour():
    objects = compile_objects([ROOT / "tests" / "wasi" / "tour.c"], OUT / "tour", WASI, ("-Oz", "-Wall", "-Werror"))
    flags = ("-Wl,--strip-all", "-Wl,-z,stack-size=65536")
    return link(objects, OUT / "tour.wasm", WASI, flags).read_bytes()


async def finished(device, slot):
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            state = await device.slot(slot)
            if state.state != "running":
                return state
            await asyncio.sleep(0.2)


async def flash(device, slot, content):
    await device.upload(slot, content)
    await device.set_pending(hashlib.sha256(content).digest())


async def output(device, slot, cursor=0):
    text = b""
    while True:
        page = await device.logs(slot, cursor)
        if not page.records:
            return text
        for _, stream, ends_line, content in page.records:
            if stream == 1:
                text += content + (b"\n" if ends_line else b"")
        cursor = page.next


async def test_random_messages_hurt_nobody(hostile_image, tour):
    kernel, image = hostile_image
    async with (
        running_device("hostile", kernel=kernel, image=image) as running,
        Link(running.record.port, name="device") as device,
    ):
        await flash(device, 0, b"HOSTILE\0" + struct.pack("<QQ", 20261123, MESSAGES))
        await flash(device, 1, tour)
        await device.start(0, ("hostile",), grants=("dir=/",))
        await device.start(1, ("tour", "count", str(LINES)))
        other, enemy = await finished(device, 1), await finished(device, 0)
        assert (enemy.state, enemy.exit) == ("exited", 0)  # every answer was one of the protocol's
        assert (other.state, other.exit) == ("exited", 0)
        counters = await device.stats(0)
        assert counters["messages"] >= MESSAGES
        assert counters["messages_refused"] >= MESSAGES // 8
        assert await output(device, 1) == b"".join(b"line %d\n" % number for number in range(LINES))
        await flash(device, 0, tour)
        before = (await device.slot(0)).log_next
        await device.start(0, ("tour", "hello"))
        again = await finished(device, 0)
        assert (again.state, again.exit) == ("exited", 0)
        assert await output(device, 0, before) == b"hello\n"
