# SPDX-License-Identifier: Apache-2.0
"""The server's processes: pages see what the worker does, a killed worker comes back, nobody outlives them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from fleet.virtual_fleet import VirtualFleet
from soak.fleet_site import fleet_site, module
from tests.server.live import DEADLINE_S, until


def is_alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def worker_of(site):
    (worker,) = [pid for pid in site.pids() if pid != site.process.pid] or [None]
    return worker


async def first_of(stream, kind):
    async for line in stream.aiter_lines():
        if f'"kind": "{kind}"' in line:
            return line
    return None


async def test_the_worker_does_the_devices_work_and_ends_with_the_server(tmp_path):
    async with fleet_site(tmp_path) as site:
        passwords = await site.enroll(["dev-0", "dev-1"])
        async with (
            asyncio.timeout(3 * DEADLINE_S),
            site.http.stream("GET", "/api/v1/stream", params={"topic": "fleet"}) as stream,
            VirtualFleet(site.broker_url, passwords, seed=1) as fleet,
        ):
            seen = asyncio.create_task(first_of(stream, "states"))
            for number in (1, 2):
                digest = await site.upload(module(number, 5000))
                await site.deploy(list(passwords), digest)
                wanted = (bytes.fromhex(digest), "running")
                await until(lambda wanted=wanted: fleet.count(lambda device: device.running(0) == wanted) == 2)

                async def counted():
                    text = (await site.http.get("/metrics")).text
                    return "wasel_published_total 2.0" in text and "wasel_leader 1.0" in text

                if number == 1:
                    await until(counted, "the server telling what its worker counts")
                    before = worker_of(site)
                    os.kill(before, signal.SIGKILL)
                    await until(lambda before=before: worker_of(site) not in (None, before), "another worker")
            assert "dev-" in await seen
        everybody = [*site.pids(), site.broker_pid()]
        assert len(everybody) == 3
        os.kill(site.process.pid, signal.SIGKILL)
        await site.process.wait()
        await until(lambda: not any(map(is_alive, everybody[:2])), "the worker being gone, too")
        await until(lambda: not is_alive(everybody[2]), "the broker being gone, too")


async def test_told_to_end_the_server_leaves_nobody(tmp_path):
    async with fleet_site(tmp_path) as site:
        everybody = [*site.pids(), site.broker_pid()]
        assert len(everybody) == 3
        await site.stop()
        assert site.process.returncode == 0
        assert not any(map(is_alive, everybody))
