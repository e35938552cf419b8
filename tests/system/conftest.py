# SPDX-License-Identifier: Apache-2.0
"""One booted device per kernel for the whole session; each test opens the link itself and leaves slots as it likes."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from agent.link.device import Device as Link
from agent.link.modules import SlotStatus
from qemu.boards import BOARDS
from qemu.image import build_image
from qemu.launcher import Device, image_for, start_device
from sel4_bridge.build import build_device

RUN_TIMEOUT_S = 600  # of a module: ends a run that hangs, on however busy a machine


def image_of(kernel: str) -> Path:
    """Build a kernel's image, or skip the test and say what is missing."""
    if shutil.which(BOARDS[0].program) is None:
        pytest.skip(f"{BOARDS[0].program} is not installed")
    if kernel == "sel4" and not os.environ.get("MICROKIT_SDK"):
        pytest.skip("MICROKIT_SDK is not set: genuine seL4 needs the Microkit SDK")
    return image_for(kernel)


@pytest.fixture(scope="session", params=[kernel.name for kernel in BOARDS[0].kernels])
def kernel(request: pytest.FixtureRequest) -> str:
    """Each kernel that commands take by name, its image built."""
    image_of(request.param)
    return str(request.param)


@dataclass(frozen=True)
class Target:
    """What the tests of the device run on."""

    kernel: str
    image: Path


@pytest.fixture(scope="session", params=["standin", "sel4", "the ELF files of sel4 on standin"])
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Target:
    """Each kernel with its image; and the stand-in kernel under the very ELF files that genuine seL4 runs."""
    if request.param in {"standin", "sel4"}:
        return Target(request.param, image_of(request.param))
    image_of("sel4")
    built = build_device("sel4")
    image = tmp_path_factory.mktemp("image") / "image.bin"
    build_image(built.system_file, built.elves["engine"].parent, image)
    return Target("standin", image)


@pytest.fixture(scope="session")
def device(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    root = tmp_path_factory.mktemp("state")
    running = asyncio.run(start_device("test", kernel=target.kernel, image=target.image, root=root, outlives_us=False))
    yield running
    asyncio.run(running.power_cut())


@pytest_asyncio.fixture
async def link(device: Device) -> AsyncIterator[Link]:
    async with Link(device.record.port, name="device") as opened:
        yield opened


@dataclass(frozen=True)
class Ended:
    """What a module did."""

    stdout: bytes
    stderr: bytes
    status: SlotStatus


async def install(link: Link, slot: int, module: bytes) -> None:
    await link.upload(slot, module)
    await link.set_pending(hashlib.sha256(module).digest())


async def wait_for_output(link: Link, slot: int, cursor: int) -> None:
    """Wait until a slot has written beyond `cursor`."""
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while (await link.slot(slot)).log_next <= cursor:  # noqa: ASYNC110 - the device is asked, it does not call
            await asyncio.sleep(0.01)


async def follow(link: Link, slot: int, cursor: int) -> Ended:
    """Collect a slot's output from `cursor` on until its module has ended."""
    streams = {1: bytearray(), 2: bytearray()}
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while True:
            status = await link.slot(slot)
            answer = await link.logs(slot, cursor)
            assert answer.dropped == 0
            for _, stream, ends_line, data in answer.records:
                streams[stream] += data + b"\n" * ends_line
            cursor = answer.next
            if not answer.records and status.state != "running":
                return Ended(bytes(streams[1]), bytes(streams[2]), status)
            await asyncio.sleep(0.005)


async def run_module(
    link: Link,
    slot: int,
    module: bytes,
    args: tuple[str, ...] = ("module",),
    env: tuple[tuple[str, str], ...] = (),
    *,
    fuel: int | None = None,
) -> Ended:
    """Install, start and follow a module to its end."""
    await install(link, slot, module)
    cursor = (await link.slot(slot)).log_next
    await link.start(slot, args, env, fuel=fuel, lossless=True)
    return await follow(link, slot, cursor)
