# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.deploy`: from the deploy request to the first line of output, on an idle online QEMU device.

The whole way: POST /deploy at a fleet server, its database, MQTT over TLS, the agent's pull of 64 KiB, the push over
the device's serial port, the start, the line back over MQTT. Two versions of a module take turns, so each round is a
pull and a push. Wall-clock milliseconds; what else the machine does can only add, so the limit is held by the least.
Writes into the section `device` of results.json.

Exit codes: 0 measured and within the limit, 1 beyond it or failed, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from agent.errors import WaselError
from agent.messages import LogLine
from bench.report import machine, update_section
from edge_engine.zig import ROOT, ToolError
from fleet.mqtt_connection import MqttConnection
from fleet.mqtt_packets import Connect, Publish
from fleet.real_devices import Enrol, real_device
from qemu.demo import MODULE_SIZE, build_hello
from soak.fleet_site import FleetSite, fleet_site

LIMIT_MS = 1000.0
ROUNDS = 10
DEVICE = "bench-0"
WATCHER = "_server.15"
ONLINE_TIMEOUT_S = 300.0
LINE_TIMEOUT_S = 120.0
IDLE_S = 2.0
"""Between two rounds: the device and its agent come to rest."""


class _Lines:
    """Output of the device as it passes the broker."""

    def __init__(self) -> None:
        self.first: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def take(self, packet: Publish) -> None:
        if LogLine.parse(packet.body).stream == 1 and not self.first.done():
            self.first.set_result(time.monotonic())

    def again(self) -> asyncio.Future[float]:
        self.first = asyncio.get_running_loop().create_future()
        return self.first


async def _online(site: FleetSite) -> None:
    async with asyncio.timeout(ONLINE_TIMEOUT_S):
        while True:
            page = await site.ask("GET", "/devices")
            if any(device["online"] and device["link"] for device in page["devices"]):
                return
            await asyncio.sleep(0.2)


async def measure(kernel: str, rounds: int) -> dict[str, Any]:
    """Deploy again and again."""
    modules = [(await asyncio.to_thread(build_hello, version)).path.read_bytes() for version in (1, 2)]
    with tempfile.TemporaryDirectory(prefix="wasel-bench-") as temporary:
        folder = Path(temporary)
        async with fleet_site(folder) as site:
            claim = (await site.ask("POST", "/claims", json={"uses": 1}))["token"]
            enrol = Enrol(str(site.http.base_url).rstrip("/"), claim)
            async with real_device(DEVICE, "qemu", folder / "devices", enrol, kernel=kernel):
                await _online(site)
                lines = _Lines()
                logins = json.loads((folder / "data" / "broker" / "logins.json").read_text(encoding="utf-8"))["logins"]
                watcher = await MqttConnection.open(
                    "127.0.0.1",
                    int(site.broker_url.rpartition(":")[2]),
                    Connect("", WATCHER, logins[WATCHER]),
                    lines.take,
                    lambda _: None,
                )
                await watcher.subscribe([(f"wasel/1/default/{DEVICE}/log", 0)])
                digests = [await site.upload(module) for module in modules]
                times = []
                for number in range(rounds):
                    await asyncio.sleep(IDLE_S)
                    first, began_s = lines.again(), time.monotonic()
                    await site.deploy([DEVICE], digests[number % 2])
                    async with asyncio.timeout(LINE_TIMEOUT_S):
                        times.append((await first - began_s) * 1000)
                watcher.close()
    return {
        "least_ms": round(min(times), 1),
        "median_ms": round(median(times), 1),
        "most_ms": round(max(times), 1),
        "times": rounds,
        "bytes": MODULE_SIZE,
    }


def main(argv: list[str]) -> int:
    """Measure, print, write; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.deploy", description=__doc__)
    parser.add_argument("--kernel", default="standin", help="standin or sel4")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", type=Path, default=ROOT / "bench" / "results.json")
    options = parser.parse_args(argv)
    try:
        found = asyncio.run(measure(options.kernel, options.rounds))
    except (WaselError, ToolError, TimeoutError) as error:
        print(f"bench: {error!r}", file=sys.stderr)
        return 1
    print(
        "deploy to first line, {bytes} bytes: least {least_ms}, median {median_ms}, most {most_ms} ms".format(**found)
    )
    update_section("device", {"deploy": {options.kernel: found, "machine": machine()}}, options.output)
    print(f"wrote {options.output}")
    if found["least_ms"] > LIMIT_MS:
        print(f"bench: {found['least_ms']} ms, not {LIMIT_MS:g}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
