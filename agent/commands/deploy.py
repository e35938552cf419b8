# SPDX-License-Identifier: Apache-2.0
"""The command `wasel deploy`."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import typer

from agent.commands.options import (
    Args,
    BrokerUrl,
    Env,
    Json,
    Module,
    NoNative,
    Slot,
    broker_url,
    parse_env,
    print_json,
    read_module,
)

__all__ = ["deploy"]


def deploy(
    file: Module,
    device: Annotated[str, typer.Option("--device", "-d", metavar="NAME", help="The device's name.")],
    slot: Slot = 0,
    broker: BrokerUrl = None,
    arg: Args = None,
    env: Env = None,
    timeout: Annotated[float, typer.Option("--timeout", metavar="S", min=0.1, help="Seconds it may take.")] = 120.0,
    json: Json = False,
    no_native: NoNative = False,
) -> None:
    """Have a device's agent install and run a module, over MQTT; returns when the device reports."""
    module = read_module(file)
    variables = tuple(f"{key}={value}" for key, value in parse_env(env))
    url = broker_url(broker)
    from agent.deploy import Deployment, Order
    from agent.progress import Progress
    from agent.registry import check_name
    from agent.text import size

    order = Order(module, file.name, check_name(device), slot, tuple(arg or ()), variables, native=not no_native)
    began_s = time.monotonic()

    async def work() -> None:
        title = f"{file.name} -> {device} slot {slot}"
        with Progress(title, len(module)) as bar:

            def update(done: int, total: int, phase: str) -> None:
                bar.update(done, f"{phase} {title}", total)

            deployment = Deployment(order, url, update)
            report = await deployment.run(timeout)
        took_s = time.monotonic() - began_s
        digest = (report.digest or b"").hex()
        sent = len(deployment.module)
        if json:
            fields = {"device": device, "slot": slot, "state": report.state, "exit": report.exit, "digest": digest}
            print_json(fields | {"size": sent, "seconds": round(took_s, 3)})
            return
        ended = f" with code {report.exit}" if report.state == "exited" else ""
        print(
            f"{device}: slot {slot}: {file.name} {report.state}{ended}, "
            f"{size(sent)}, sha256 {digest[:16]}, {took_s:.2f} s"
        )

    asyncio.run(work())
