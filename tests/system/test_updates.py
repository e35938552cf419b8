# SPDX-License-Identifier: Apache-2.0
"""Updates on a booted device: small ones, and ones that go on after a loss of power, or over another link."""

import asyncio
import hashlib
import random
from pathlib import Path

import pytest

from agent.errors import LinkError
from agent.link.device import Device as Link
from agent.module_file import append_section
from qemu.faulty_line import Faults, FaultyLine
from tests.system.conftest import install
from tests.system.test_store import powered, ticker, wait_for_output

pytestmark = pytest.mark.system
WHO = (("WHO", "x"),)
PADDING = 400_000
STEP = 65_536  # docs/PROTOCOL.md


async def test_the_next_version_goes_as_what_changed(kernel: str, tmp_path: Path) -> None:
    padding = random.Random(1).randbytes(20_000)
    one, two = (append_section(ticker(version), "padding", padding) for version in (1, 2))
    kept = {hashlib.sha256(module).digest(): module for module in (one, two)}
    async with powered(kernel, tmp_path) as (_, link):
        assert await link.upload(0, one) < len(one)  # compressed: there is nothing to begin with
        await link.set_pending(hashlib.sha256(one).digest())
        await link.start(0, ("ticker",), WHO)
        await wait_for_output(link, 0, b"version 1 - x tick 1")
        assert await link.upload(0, two, base=kept.get) < 2000
        await link.set_pending(hashlib.sha256(two).digest())
        await link.start(0, ("ticker",), WHO)
        await wait_for_output(link, 0, b"version 2 - x tick 1")
    async with powered(kernel, tmp_path) as (_, link):
        assert (await link.slot(0)).digest == hashlib.sha256(two).digest()
        await wait_for_output(link, 0, b"version 2 - x tick 1")


async def test_an_upload_goes_on_after_a_loss_of_power(kernel: str, tmp_path: Path) -> None:
    old = ticker(1)
    new = append_section(ticker(2), "padding", random.Random(2).randbytes(PADDING))
    reached = 0

    async def until(link: Link, offset: int) -> None:
        nonlocal reached
        there = asyncio.Event()

        def progress(at: int) -> None:
            nonlocal reached
            reached = at
            if at >= offset:
                there.set()

        upload = asyncio.ensure_future(link.upload(0, new, progress))
        await asyncio.wait([upload, asyncio.ensure_future(there.wait())], return_when=asyncio.FIRST_COMPLETED)
        assert not upload.done()
        upload.cancel()
        await asyncio.gather(upload, return_exceptions=True)

    async with powered(kernel, tmp_path) as (_, link):
        await install(link, 0, old)
        await link.start(0, ("ticker",), WHO)
        await until(link, 3 * STEP)
    async with powered(kernel, tmp_path) as (device, link):
        slot = await link.slot(0)
        assert (slot.state, slot.digest) == ("running", hashlib.sha256(old).digest())
        await until(link, reached + STEP)
        await link.close()
        async with Link(device.record.port, name="another link") as other:  # the cable instead of the broker, say
            sent = await other.upload(0, new)
            assert sent <= PADDING - 2 * STEP
            assert await other.candidate(0) == hashlib.sha256(new).digest()
            await other.set_pending(hashlib.sha256(new).digest())
            await other.start(0, ("ticker",), WHO)
            await wait_for_output(other, 0, b"version 2 - x tick 1")
        with pytest.raises(LinkError):
            await link.status()


async def test_an_upload_over_a_line_that_loses_and_flips_bytes(kernel: str, tmp_path: Path) -> None:
    """The device's cells and the agent's understand each other: nothing but parity gets this through."""
    module = append_section(ticker(1), "padding", random.Random(4).randbytes(8_000))
    async with powered(kernel, tmp_path) as (device, first):
        await first.close()
        line = FaultyLine(1)
        await line.open(device.record.port)
        try:
            async with Link(line.port, name="device", timeout_s=10.0) as link:
                line.faults = Faults(drop=0.02, corrupt=0.02)
                await link.upload(0, module)
                assert link.transport.counters.parity_bytes > 0
                await link.set_pending(hashlib.sha256(module).digest())
                await link.start(0, ("ticker",), WHO)
                line.faults = Faults()
                await wait_for_output(link, 0, b"version 1 - x tick 1")
                assert (await link.slot(0)).digest == hashlib.sha256(module).digest()
        finally:
            await line.close()
