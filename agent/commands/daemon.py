# SPDX-License-Identifier: Apache-2.0
"""The command `wasel agent`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from agent.commands.options import BrokerUrl, PortUrl

__all__ = ["agent"]


def agent(
    device: Annotated[str, typer.Option("--device", "-d", metavar="NAME", help="The device's name.")],
    port: PortUrl = None,
    broker: BrokerUrl = "mqtt://127.0.0.1:1883",
    state: Annotated[Path | None, typer.Option("--state", metavar="DIR", help="Folder of the runtime files.")] = None,
) -> None:
    """Hold a device's port and make it what the broker's desired state says, until SIGTERM."""
    from agent.daemon import Agent, AgentConfig
    from agent.registry import check_name

    config = AgentConfig(check_name(device), broker, port, state)

    async def work() -> None:
        await Agent(config).run()

    asyncio.run(work())
