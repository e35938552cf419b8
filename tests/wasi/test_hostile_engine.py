# SPDX-License-Identifier: Apache-2.0
"""A device whose engines are the enemy: 100,000 random messages from one slot, while the other slot works on.

The enemy holds every kind of grant there is, and an agent takes the mail that comes of it.
"""

from __future__ import annotations

import struct

import pytest

from agent.link.device import Device as Link
from edge_engine.zig import ROOT
from qemu.launcher import running_device
from sel4_bridge.build import Change, build_device
from tests.wasi.device import finished, flash, needs, output
from tests.wasi.test_topics import broker, carrying

__all__ = ["broker"]  # a fixture
pytestmark = pytest.mark.system
LINES = 150
MESSAGES = 100_000
GRANTS = (
    "dir=/",
    "dir=/data",
    "publish=#",
    "subscribe=#",
    *(
        f"{way}={kind}:127.0.0.1:{port}"
        for way in ("connect", "listen")
        for kind in ("tcp", "udp")
        for port in (0, 1, 48)
    ),
)


@pytest.fixture(scope="module", params=["standin", "sel4"])
def hostile_image(request):
    """The device's image with the test build of the engine."""
    needs(request.param)
    source = ROOT / "tests" / "wasi" / "hostile_engine.c"
    folder = ROOT / "build" / "variants" / f"hostile-{request.param}"
    change = Change("engine", (source,), "sb_run")
    return request.param, build_device(request.param, folder=folder, changes=(change,)).image


async def test_random_messages_hurt_nobody(hostile_image, tour, broker):
    tour = tour.read_bytes()
    kernel, image = hostile_image
    async with (
        running_device("hostile", kernel=kernel, image=image) as running,
        Link(running.record.port, name="device") as device,
        carrying(broker, device, sockets=True),
    ):
        await flash(device, 0, b"HOSTILE\0" + struct.pack("<QQ", 20261123, MESSAGES))
        await flash(device, 1, tour)
        await device.start(0, ("hostile",), grants=GRANTS)
        await device.start(1, ("tour", "count", str(LINES)))
        other, enemy = await finished(device, 1), await finished(device, 0)
        assert (enemy.state, enemy.exit) == ("exited", 0)  # every answer was one of the protocol's
        assert (other.state, other.exit) == ("exited", 0)
        counters = await device.stats(0)
        assert counters["messages"] >= MESSAGES * 9 // 10  # those that wait for the store's pause are not served
        assert counters["messages_refused"] >= MESSAGES // 8
        assert await output(device, 1) == b"".join(b"line %d\n" % number for number in range(LINES))
        await flash(device, 0, tour)
        before = (await device.slot(0)).log_next
        await device.start(0, ("tour", "hello"))
        again = await finished(device, 0)
        assert (again.state, again.exit) == ("exited", 0)
        assert await output(device, 0, before) == b"hello\n"
