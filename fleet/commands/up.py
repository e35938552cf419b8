# SPDX-License-Identifier: Apache-2.0
"""`wasel up`."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(add_completion=False)


@app.command()
def up(
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="Name of the device under QEMU.")] = "qemu-0",
    kernel: Annotated[str, typer.Option("--kernel", help="standin, or sel4 (needs MICROKIT_SDK).")] = "standin",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Of the dashboard; 0: a free one.")] = 8080,
    broker_port: Annotated[int, typer.Option("--broker-port", min=0, max=65535, help="0: a free one.")] = 8883,
) -> None:
    """Run a whole fleet of one: broker, server, a device under QEMU with its agent; until Ctrl-C."""
    import asyncio

    from agent.registry import check_name, state_root
    from fleet.up import UpOptions, run_up

    def say(text: str) -> None:
        print(f"wasel up: {text}", flush=True)

    asyncio.run(run_up(UpOptions(state_root(), check_name(device), kernel, port, broker_port), say))
