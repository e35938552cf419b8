# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet simulate`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fleet.commands.common import Json, Token, Url

__all__ = ["simulate"]

Share = Annotated[float, typer.Option(min=0.0, max=1.0, help="Probability per message.")]
Rate = Annotated[float, typer.Option(min=0.0, help="Per device and second.")]


def simulate(
    devices: Annotated[int, typer.Option("--devices", metavar="N", min=0, help="Virtual devices.")] = 0,
    sim: Annotated[int, typer.Option("--sim", metavar="K", min=0, help="Devices in the host simulator.")] = 0,
    qemu: Annotated[int, typer.Option("--qemu", metavar="K", min=0, help="Devices under QEMU.")] = 0,
    prefix: Annotated[str, typer.Option("--prefix", help="Their names begin so.")] = "sim",
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="Tag of new devices.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of everything random.")] = 0,
    loss: Share = 0.0,
    duplicate: Share = 0.0,
    reorder: Share = 0.0,
    cuts: Rate = 0.0,
    agent_restarts: Rate = 0.0,
    reboots: Rate = 0.0,
    skew: Annotated[float, typer.Option(min=0.0, metavar="S", help="Clocks are off by up to so much.")] = 0.0,
    drift: Annotated[float, typer.Option(min=0.0, max=0.9, help="Clocks run wrong by up to this share.")] = 0.0,
    storm_every: Annotated[float, typer.Option(min=0.0, metavar="S", help="A storm of reboots so often.")] = 0.0,
    storm_share: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of devices in a storm.")] = 0.5,
    seconds: Annotated[float | None, typer.Option("--for", metavar="S", min=0.0, help="Default: until Ctrl-C.")] = None,
    broker: Annotated[str | None, typer.Option("--broker", metavar="URL", help="Default: as the server says.")] = None,
    url: Url = None,
    token: Token = None,
    json: Json = False,
) -> None:
    """Run virtual devices (and real ones) against a server; bad modules come from a module's wasel.script."""
    import asyncio
    import sys

    from agent.commands.options import parse_env
    from agent.registry import check_name, state_root
    from fleet.client import Access, Client
    from fleet.commands.common import show
    from fleet.simulate import Simulation, run_simulation
    from fleet.virtual_faults import Faults

    faults = Faults(
        loss=loss,
        duplicate=duplicate,
        reorder=reorder,
        cut_rate=cuts,
        agent_rate=agent_restarts,
        reboot_rate=reboots,
        skew_s=skew,
        drift=drift,
        storm_every_s=storm_every,
        storm_share=storm_share,
    )
    simulation = Simulation(devices, sim, qemu, check_name(prefix), seed, faults, dict(parse_env(tag)), broker, seconds)
    access = Access.find(url, token)

    def line(now: dict[str, Any]) -> str:
        faults = sum(now["faults"].values())
        return (
            f"{now['connected']} of {now['devices']} connected, {now['settled']} settled, {now['received']} received, "
            f"{now['sent']} sent" + (f", {faults} faults" if faults else "") + f", {len(now['real'])} real"
        )

    def tell(now: dict[str, Any]) -> None:
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line(now)}", end="", file=sys.stderr, flush=True)

    last = asyncio.run(run_simulation(simulation, Client(access), access.url, state_root() / "simulated", tell))
    if sys.stderr.isatty():
        print(file=sys.stderr)
    show(last) if json else print(line(last))
