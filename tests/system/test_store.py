# SPDX-License-Identifier: Apache-2.0
"""Modules on flash: QEMU is killed as a power cut would, and started again on the same flash file."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from littlefs import LittleFS, UserContext

from agent.link.device import Device as Link
from qemu.launcher import Device, start_device
from tests.system import modules as m
from tests.system.conftest import RUN_TIMEOUT_S, install

pytestmark = pytest.mark.system
SECTOR = 256 * 1024
TICKER = """
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    for (unsigned n = 0;; n++) {
        printf("version %d %s %s tick %u\\n", VERSION, argc > 1 ? argv[1] : "-", getenv("WHO"), n);
        fflush(stdout);
        usleep(20000);
    }
}
"""


def ticker(version: int) -> bytes:
    return m.compile_c(TICKER, f"-DVERSION={version}")


@contextlib.asynccontextmanager
async def powered(kernel: str, root: Path) -> AsyncIterator[tuple[Device, Link]]:
    """A device that keeps its flash; power goes when the block ends."""
    device = await start_device("store", kernel=kernel, root=root, outlives_us=False)
    try:
        async with Link(device.record.port) as link:
            yield device, link
    finally:
        await device.power_cut()


async def wait_for_output(link: Link, slot: int, wanted: bytes) -> None:
    """Wait until the slot has written a line, from the oldest line that the device remembers on."""
    cursor = 0
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while True:
            answer = await link.logs(slot, cursor)
            if any(data == wanted for _, _, _, data in answer.records):
                return
            cursor = answer.next
            await asyncio.sleep(0.01)


class _Image(UserContext):
    """The flash file, as littlefs-python wants to read it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, cfg: object, block: int, off: int, size: int) -> bytearray:  # noqa: ARG002 - its interface
        at = block * SECTOR + off
        return bytearray(self.data[at : at + size])


async def test_a_module_survives_power_loss_and_starts_by_itself(kernel: str, tmp_path: Path) -> None:
    one, two = ticker(1), ticker(2)
    async with powered(kernel, tmp_path) as (_, link):
        await install(link, 0, one)
        await link.start(0, ("ticker", "hello"), (("WHO", "slot 0"),))
        await wait_for_output(link, 0, b"version 1 hello slot 0 tick 2")
    async with powered(kernel, tmp_path) as (_, link):
        await wait_for_output(link, 0, b"version 1 hello slot 0 tick 2")
        slot = (await link.status()).slots[0]
        assert (slot.state, slot.digest) == ("running", hashlib.sha256(one).digest())
        await install(link, 0, two)  # marked, not started
    async with powered(kernel, tmp_path) as (_, link):
        await wait_for_output(link, 0, b"version 2 hello slot 0 tick 2")
        await link.stop(0)
    async with powered(kernel, tmp_path) as (_, link):
        slot = (await link.status()).slots[0]
        assert (slot.state, slot.digest) == ("stopped", hashlib.sha256(two).digest())
    pulled = (tmp_path / "devices" / "store" / "flash.img").read_bytes()
    fs = LittleFS(context=_Image(pulled), block_size=SECTOR, block_count=len(pulled) // SECTOR, mount=True)
    files = {name: fs.open(f"/slot0/{name}", "rb").read() for name in fs.listdir("/slot0")}
    assert {files["a.wasm"], files["b.wasm"]} == {one, two}
    assert hashlib.sha256(two).digest() in files["record"]


async def test_a_module_on_trial_is_reverted_unless_it_is_confirmed(kernel: str, tmp_path: Path) -> None:
    one, two, three = (ticker(version) for version in (1, 2, 3))
    digests = [hashlib.sha256(module).digest() for module in (one, two, three)]
    async with powered(kernel, tmp_path) as (_, link):
        assert (await link.status()).store == "flash"
        await install(link, 0, one)
        await link.start(0, ("ticker",), (("WHO", "x"),))
        await link.upload(0, two)
        await link.set_pending(digests[1], confirm=False)
        await link.start(0, ("ticker",), (("WHO", "x"),))
        await wait_for_output(link, 0, b"version 2 - x tick 1")
        slot = await link.slot(0)
        assert (slot.digest, slot.confirmed) == (digests[1], False)
    async with powered(kernel, tmp_path) as (_, link):  # power went before it was confirmed
        await wait_for_output(link, 0, b"version 1 - x tick 1")
        slot = await link.slot(0)
        assert (slot.digest, slot.confirmed) == (digests[0], True)
        await link.upload(0, three)
        await link.set_pending(digests[2], confirm=False)
        await link.start(0, ("ticker",), (("WHO", "x"),))
        await link.set_pending(digests[2])  # confirmed
    async with powered(kernel, tmp_path) as (_, link):
        await wait_for_output(link, 0, b"version 3 - x tick 1")
        await link.rollback(0)
        await wait_for_output(link, 0, b"version 1 - x tick 1")
        slot = await link.slot(0)
        assert (slot.state, slot.digest, slot.confirmed) == ("running", digests[0], True)


async def test_three_failed_starts_go_back_and_the_other_slot_runs_on(kernel: str, tmp_path: Path) -> None:
    good, bad = ticker(1), m.compile_c("int main(void) { __builtin_trap(); }")
    async with powered(kernel, tmp_path) as (_, link):
        await install(link, 1, good)
        await link.start(1, ("ticker",), (("WHO", "y"),))
        await install(link, 0, good)
        await link.start(0, ("ticker",), (("WHO", "x"),))
        await install(link, 0, bad)
        for starts in (2, 3, 4):
            await link.start(0, ("ticker",), (("WHO", "x"),))
            async with asyncio.timeout(RUN_TIMEOUT_S):
                while (await link.slot(0)).state == "running" and (await link.slot(0)).starts == starts:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        slot = await link.slot(0)
        assert (slot.state, slot.digest, slot.starts) == ("running", hashlib.sha256(good).digest(), 5)
        other = await link.slot(1)
        assert (other.state, other.starts) == ("running", 1)
