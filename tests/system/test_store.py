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
from qemu.boards import BOARDS
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


def ticker(folder: Path, version: int) -> bytes:
    source = folder / f"ticker{version}.c"
    source.write_text(TICKER)
    return m.compile_c(source, f"-DVERSION={version}")


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

    def read(self, cfg: object, block: int, off: int, size: int) -> bytearray:
        at = block * SECTOR + off
        return bytearray(self.data[at : at + size])


async def test_a_module_survives_power_loss_and_starts_by_itself(kernel: str, tmp_path: Path) -> None:
    one, two = ticker(tmp_path, 1), ticker(tmp_path, 2)
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
