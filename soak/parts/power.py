# SPDX-License-Identifier: Apache-2.0
"""Power goes during an update, twice in a row on the host, and by SIGKILL of QEMU: the old or the new module runs."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time

from agent.errors import WaselError
from agent.link.device import Device as Link
from agent.module_file import append_section
from qemu.launcher import Device, start_device
from soak import Part, Soak
from soak.kernels import kernels
from tests.store.program import build_power
from tests.system import modules as m

PAIRS = 10_000
PAIRS_A_RUN = 250
KILLS = 500
PROCESSES = 2
PADDING = 65_536  # bytes of a module, so that its upload takes a while
SLEEPER = """
#include <unistd.h>
int main(void) { for (;;) usleep(50000); }
"""


async def _run(soak: Soak) -> None:
    await _pairs(soak)
    for kernel in kernels(soak):
        await Kills(soak, kernel).run()


async def _pairs(soak: Soak) -> None:
    program = await asyncio.to_thread(build_power, sanitize=False)
    runs = -(-soak.times(PAIRS) // PAIRS_A_RUN)
    room = asyncio.Semaphore(PROCESSES)
    done = 0

    async def one(number: int) -> None:
        nonlocal done
        async with room:
            seed = str(soak.seed * 1_000_000 + number + 1)
            process = await asyncio.create_subprocess_exec(
                program, "pairs", seed, str(PAIRS_A_RUN), stdout=asyncio.subprocess.PIPE
            )
            text = (await process.communicate())[0].decode()
        done += PAIRS_A_RUN
        soak.progress(f"{done} of {runs * PAIRS_A_RUN} pairs of cuts")
        good = process.returncode == 0 and text.endswith(f" cuts {2 * PAIRS_A_RUN} violations 0\n")
        soak.check(good, f"pairs of seed {seed}: {text[-400:]}")

    await asyncio.gather(*(one(number) for number in range(runs)))
    soak.measure("seeded pairs of cuts, the second during what follows the first", done, at_least=soak.times(PAIRS))


class Kills:
    """One device whose power goes again and again, at any time of an update."""

    def __init__(self, soak: Soak, kernel: str) -> None:
        self._soak = soak
        self._kernel = kernel
        self._base = m.compile_c(SLEEPER)
        self._held = 0
        self._new = 0

    def _module(self) -> bytes:
        return append_section(self._base, "padding", self._soak.random.randbytes(PADDING))

    @contextlib.asynccontextmanager
    async def _powered(self):  # type: ignore[no-untyped-def]  # noqa: ANN202
        device = await start_device("power", kernel=self._kernel, root=self._soak.folder, outlives_us=False)
        try:
            async with Link(device.record.port, name="device") as link:
                yield device, link
        finally:
            await device.power_cut()

    async def _update(self, link: Link, module: bytes) -> None:
        digest = hashlib.sha256(module).digest()
        if await link.candidate(0) != digest and (await link.slot(0)).digest != digest:
            await link.upload(0, module)
        if (await link.slot(0)).digest != digest:
            await link.set_pending(digest, confirm=False)
            await link.start(0, ("zero",))
        await link.set_pending(digest)

    async def run(self) -> None:
        """Cut, look, repeat."""
        count = self._soak.times(KILLS)
        old, other = self._module(), self._module()
        async with self._powered() as (_, link):
            for slot, module in ((0, old), (1, other)):
                await link.upload(slot, module)
                await link.set_pending(hashlib.sha256(module).digest())
                await link.start(slot, ("module",))
            new = self._module()
            began_s = time.monotonic()
            await self._update(link, new)
            takes_s = time.monotonic() - began_s
        old = new
        for number in range(1, count + 1):
            self._soak.progress(f"{self._kernel}: power cut {number} of {count}")
            new = self._module()
            old = await self._round(number, old, new, other, takes_s)
        self._soak.measure(
            f"{self._kernel}: SIGKILLs of QEMU during an update, all well after", self._held, at_least=count
        )
        self._soak.measure(f"{self._kernel}: of them, those that found the new module", self._new)

    async def _round(self, number: int, old: bytes, new: bytes, other: bytes, takes_s: float) -> bytes:
        digests = {hashlib.sha256(old).digest(): "old", hashlib.sha256(new).digest(): "new"}
        where = f"{self._kernel}: cut {number}"
        async with self._powered() as (device, link):
            update = asyncio.ensure_future(self._update(link, new))
            await asyncio.sleep(self._soak.random.uniform(0, 1.1 * takes_s))
            await _kill(device, update)
        try:
            async with self._powered() as (_, link):
                slots = (await link.status()).slots
                found = digests.get(slots[0].digest or b"", "neither")
                good = slots[0].state == "running" and found != "neither"
                self._soak.check(good, f"{where}: slot 0 is {slots[0].state}, its module is {found}")
                beside = slots[1].state == "running" and slots[1].digest == hashlib.sha256(other).digest()
                self._soak.check(beside, f"{where}: slot 1 is {slots[1].state}")
                await self._update(link, new)
                slot = await link.slot(0)
                complete = slot.state == "running" and bool(slot.confirmed) and digests.get(slot.digest or b"") == "new"
                self._soak.check(complete, f"{where}: a retry did not complete: {slot.state}")
                self._held += good and beside and complete
                self._new += found == "new"
        except WaselError as error:
            self._soak.check(False, f"{where}: {error}")
        return new


async def _kill(device: Device, update: asyncio.Future[None]) -> None:
    await device.power_cut()
    with contextlib.suppress(WaselError, asyncio.CancelledError):
        update.cancel()
        await update


PART = Part(
    "10,000 seeded pairs of power cuts on the host, 500 SIGKILLs of QEMU in updates on each kernel",
    timeout_s=4 * 3600,
    run=_run,
)
