# SPDX-License-Identifier: Apache-2.0
"""/data: what a slot's module writes there is on flash. On the simulator with sanitizers, and on both kernels."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from agent.link.device import Device as Link
from edge_engine.zig import ROOT, WASI, compile_objects, link
from qemu.launcher import image_for, running_device, start_device
from qemu.sim import SimOptions, running_simulator
from tests.wasi.device import TIMEOUT_S, finished, flash, needs, output

OUT = ROOT / "build" / "tests" / "wasi"
GRANT = ("dir=/data",)


@pytest.fixture(scope="module")
def guest():
    """The C program with its stories."""
    objects = compile_objects([ROOT / "tests" / "wasi" / "data.c"], OUT / "data", WASI, ("-Oz", "-Wall", "-Werror"))
    return link(objects, OUT / "data.wasm", WASI, ("-Wl,--strip-all", "-Wl,-z,stack-size=65536")).read_bytes()


@contextlib.asynccontextmanager
async def simulator(file):
    """A simulator on a flash file; the power goes when the block ends."""
    async with running_simulator(SimOptions(flash=file, sanitize=True)) as running:
        async with Link(running.port, name="simulator") as device:
            yield device
        await running.power_cut()


async def run(device, slot, *arguments, grants=GRANT):
    """Run a story on the slot's module: state, exit code and what it wrote."""
    before = (await device.slot(slot)).log_next
    await device.start(slot, ("data", *arguments), grants=grants, lossless=True)
    state = await finished(device, slot)
    return state.state, state.exit, (await output(device, slot, before)).decode()


async def test_a_tour(guest, tmp_path):
    async with simulator(tmp_path / "flash") as device:
        await flash(device, 0, guest)
        assert await run(device, 0, "tour") == ("exited", 0, "done\n")
        assert await run(device, 0, "tour") == ("exited", 0, "done\n")  # the first one left nothing
        assert await run(device, 0, "links", grants=(*GRANT, "dir=/tmp")) == ("exited", 0, "done\n")
        assert await run(device, 0, "limits", "70000", grants=(*GRANT, "bytes=70000")) == ("exited", 0, "done\n")


async def test_a_file_grows_in_parts(guest, tmp_path):
    async with simulator(tmp_path / "flash") as device:
        await flash(device, 0, guest)
        assert await run(device, 0, "gaps") == ("exited", 0, "done\n")


async def test_a_file_has_a_largest_size(guest, tmp_path):
    async with simulator(tmp_path / "flash") as device:
        await flash(device, 0, guest)
        assert await run(device, 0, "limits", str(1 << 24)) == ("exited", 0, "done\n")


async def test_slots_and_grants_keep_apart(guest, tmp_path):
    async with simulator(tmp_path / "flash") as device:
        for slot in (0, 1):
            await flash(device, slot, guest)
        assert await run(device, 0, "count") == ("exited", 0, "run 1\n")
        assert await run(device, 0, "count") == ("exited", 0, "run 2\n")
        assert await run(device, 1, "count") == ("exited", 0, "run 1\n")
        for grants in ((), ("dir=/data:ro",), ("dir=/",)):
            assert (await run(device, 0, "count", grants=grants))[:2] == ("exited", 1)  # dir=/ is all RAM
        assert await run(device, 0, "/data/runs", grants=("dir=/data:ro",)) == ("exited", 0, "2\n\n")
        assert await run(device, 0, "/runs", grants=("dir=/data::/",)) == ("exited", 0, "2\n\n")


async def test_what_a_trapped_module_wrote_is_there(guest, tmp_path):
    async with simulator(tmp_path / "flash") as device:
        await flash(device, 0, guest)
        assert await run(device, 0, "leave") == ("trapped", None, "left\n")
        await device.echo("the wasi domain has had its turn")
    async with simulator(tmp_path / "flash") as device:
        await finished(device, 0)  # the module may have started by itself at boot
        state, code, text = await run(device, 0, "/data/left")
        assert (state, code) == ("exited", 0)
        assert text.removeprefix("left\n") == "written\n"


@pytest.mark.parametrize("cut", ["9", "23", "41", "58:half", "77:before"])
async def test_power_cuts_leave_whole_files(guest, tmp_path, cut):
    async with simulator(tmp_path / "flash") as device:
        await flash(device, 0, guest)
        assert await run(device, 0, "count") == ("exited", 0, "run 1\n")
        await device.stop(0)  # what was stopped does not start by itself
    options = SimOptions(flash=tmp_path / "flash", cut=cut)
    with contextlib.suppress(Exception):  # the link of a device without power breaks as it likes
        async with running_simulator(options) as running, Link(running.port, name="simulator") as device:
            await device.start(0, ("data", "rewrite"), grants=GRANT)
            await running.wait(TIMEOUT_S)
    async with simulator(tmp_path / "flash") as device:
        await device.stop(0)
        state, code, text = await run(device, 0, "whole")
        assert (state, code) in {("exited", 0), ("exited", 1)}
        assert "whole" in text or "file != NULL" in text  # all of a version, or none was done yet
        assert await run(device, 0, "/data/runs") == ("exited", 0, "1\n\n")


@pytest.mark.system
@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_on_a_device_across_power_cuts(kernel, guest, tmp_path):
    needs(kernel)
    for boot in range(2):
        device = await start_device("data", kernel=kernel, root=tmp_path, outlives_us=False)
        try:
            async with Link(device.record.port) as board:
                if boot == 0:
                    await flash(board, 0, guest)
                    assert await run(board, 0, "tour") == ("exited", 0, "done\n")
                assert await run(board, 0, "count") == ("exited", 0, f"run {boot + 1}\n")
                await board.stop(0)  # what was stopped does not start by itself
        finally:
            await device.power_cut()


@pytest.mark.system
@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_long_operations_do_not_hold_up_the_other_slot(kernel, guest):
    """One slot never lets the store rest; the other one, which needs the CPU alone, gets to its end all the same."""
    needs(kernel)
    async with (
        running_device("turns", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        for slot in (0, 1):
            await flash(device, slot, guest)
        await device.start(0, ("data", "hammer"), grants=GRANT)
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                if await output(device, 0) == b"hammering\n":
                    break
                await asyncio.sleep(0.05)
        assert await run(device, 1, "work", grants=()) == ("exited", 0, f"{sum(range(5_000_000)) % 2**32}\n")
        assert (await device.slot(0)).state == "running"
        await device.stop(0)
