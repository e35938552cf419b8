# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet simulate` and `wasel up` as users run them: processes that come up together and are gone together."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.errors import UsageError
from fleet.simulate import Simulation, device_names
from fleet.virtual_faults import Faults
from soak.fleet_site import fleet_site, module

WAIT_S = 300

pytestmark = pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="qemu-system-aarch64 is missing")


def processes_of(folder):
    """Command lines of processes that have to do with a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line:
            found.append(line)
    return found


async def lines_until(process, pattern):
    """Read a process's output up to a line that matches."""
    seen = []
    async with asyncio.timeout(WAIT_S):
        while line := (await process.stdout.readline()).decode():
            seen.append(line)
            if match := re.search(pattern, line):
                return match
    raise AssertionError(f"ended without {pattern!r}: {''.join(seen)}")


async def start(state, *arguments):
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "WASEL_STATE": str(state)},
    )


def test_what_cannot_be_simulated_is_said():
    for numbers in ({}, {"devices": -1}, {"devices": 10**6}):
        with pytest.raises(UsageError):
            Simulation(**numbers)
    for faults in ({"loss": 0.95}, {"loss": -0.1}, {"duplicate": 1.5}, {"cut_rate": -1}):
        with pytest.raises(UsageError):
            Faults(**faults)
    assert device_names(3, "x") == ["x-0000", "x-0001", "x-0002"]
    assert device_names(20_000)[-1] == "sim-19999"


async def test_simulate_virtual_devices_and_one_in_the_host_simulator(tmp_path):
    async with fleet_site(tmp_path) as site:
        state = tmp_path / "state"
        process = await start(
            state, "fleet", "simulate", "--devices", "20", "--sim", "1", "--tag", "site=lab", "--json"
        )
        try:

            async def counted(good):
                async with asyncio.timeout(WAIT_S):
                    while process.returncode is None:
                        page = await site.ask("GET", "/devices", params={"filter": "tag.site = lab"})
                        if good(page["devices"]):
                            return
                        await asyncio.sleep(0.1)
                raise AssertionError(f"simulate ended: {(await process.stdout.read()).decode()}")

            await counted(lambda found: sum(d["online"] and d["link"] for d in found) == 21)
            page = await site.ask("GET", "/devices", params={"filter": "class = qemu-virt"})
            assert [device["name"] for device in page["devices"]] == ["sim-sim-0"]
            page = await site.ask("GET", "/devices", params={"filter": "class = virtual"})
            assert len(page["devices"]) == 20
            digest = await site.upload(module(1, 3000))
            names = device_names(20)
            await site.deploy(names, digest)

            def runs(device):
                return any(slot["digest"] == digest and slot["state"] == "running" for slot in device["slots"])

            await counted(lambda found: sum(map(runs, found)) == 20)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
        assert process.returncode == 0, output.decode()
        last = json.loads(output)
        assert (last["connected"], last["settled"], last["real"]) == (20, 20, ["sim-sim-0"])
    assert processes_of(tmp_path) == []


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_up_and_nothing_is_left_behind(tmp_path, number):
    process = await start(tmp_path, "up", "--port", "0", "--broker-port", "0")
    try:
        url = (await lines_until(process, r"serving on (\S+),"))[1]
        await lines_until(process, "device qemu-0: online; the dashboard is at " + re.escape(url))
        assert len(processes_of(tmp_path)) >= 2  # mosquitto, QEMU
    finally:
        process.send_signal(number)
        output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    if number == signal.SIGINT:
        assert process.returncode == 0, output.decode()
        assert "everything is down again" in output.decode()
    async with asyncio.timeout(WAIT_S):
        while processes_of(tmp_path):  # noqa: ASYNC110 - nobody tells when they are gone
            await asyncio.sleep(0.1)
