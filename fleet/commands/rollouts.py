# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet rollout`."""

from __future__ import annotations

import json as json_module
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.commands.options import Args, Env
from agent.errors import UsageError
from agent.text import printable
from fleet.commands.common import Json, Token, Url, client, show, show_table, when
from fleet.errors import FleetError

__all__ = ["rollouts"]

rollouts = typer.Typer(help="Rollouts: one module to many devices, in waves.", no_args_is_help=True)
Number = Annotated[int, typer.Argument(metavar="ID", help="As 'rollout list' shows it.")]
Reason = Annotated[str, typer.Option("--reason", help="For the audit log.")]
OVER = ("completed", "stopped", "returned", "refused")
POLL_S = 1.0


def _plan(file: Path | None, settings: list[str] | None) -> dict[str, Any]:
    plan: dict[str, Any] = {}
    try:
        if file is not None:
            plan = json_module.loads(file.read_text(encoding="utf-8"))
        for entry in settings or ():
            key, equals, value = entry.partition("=")
            if not equals:
                raise UsageError(f"--set {entry!r}: KEY=VALUE is needed, VALUE as JSON")
            try:
                plan[key] = json_module.loads(value)
            except ValueError:
                plan[key] = value
    except (OSError, ValueError) as error:
        raise UsageError(f"{file}: cannot be read as JSON: {error}") from error
    return plan


@rollouts.command()
def create(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Digest, its beginning, or NAME:VERSION.")],
    filter: Annotated[str, typer.Option("--filter", "-f", help="Which devices; 'all' for every one.")],  # noqa: A002
    name: Annotated[str, typer.Option("--name", "-n", help="Default: the artifact.")] = "",
    slot: Annotated[int, typer.Option("--slot", "-s", min=0, max=63, help="Which slot of the devices.")] = 0,
    plan: Annotated[Path | None, typer.Option("--plan", metavar="FILE", help="JSON, see 'rollout plan'.")] = None,
    set: Annotated[  # noqa: A002
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one thing of the plan.")
    ] = None,
    arg: Args = None,
    env: Env = None,
    start: Annotated[bool, typer.Option("--start", help="At once.")] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a rollout and print its number."""
    body = {"name": name or artifact, "artifact": artifact, "filter": filter, "slot": slot, "start": start}
    body |= {"plan": _plan(plan, set), "args": arg or [], "env": env or []}
    print(client(url, token).post("/rollouts", body)["id"])


@rollouts.command("plan")
def default_plan(url: Url = None, token: Token = None) -> None:
    """Print the plan that counts where a rollout says nothing, as JSON."""
    show(client(url, token).get("/rollouts/plan"))


@rollouts.command("list")
def list_rollouts(
    phase: Annotated[str, typer.Option("--phase", help="In this phase alone.")] = "",
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List rollouts, newest first."""
    rows = client(url, token).get("/rollouts", phase=phase)
    if json:
        show(rows)
        return
    show_table(
        ("ID", "NAME", "PHASE", "WAVE", "DEVICES", "BAD", "STARTED", "WHY"),
        [
            (
                row["id"],
                row["name"],
                row["phase"],
                row["stage"] + 1,
                row["total"],
                row["errors"]["bad"],
                when(row["started_ms"]),
                row["reason"],
            )
            for row in rows
        ],
    )


@rollouts.command("show")
def show_rollout(number: Number, url: Url = None, token: Token = None) -> None:
    """Show a rollout with its waves, as JSON."""
    show(client(url, token).get(f"/rollouts/{number}"))


@rollouts.command("devices")
def list_members(
    number: Number,
    state: Annotated[str, typer.Option("--state", help="In this state alone.")] = "",
    json: Json = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """List a rollout's devices."""
    server = client(url, token)
    rows: list[dict[str, Any]] = []
    while page := server.get(
        f"/rollouts/{number}/devices", state=state, after=rows[-1]["device"] if rows else "", limit=1000
    ):
        rows += page
    if json:
        show(rows)
        return
    show_table(
        ("DEVICE", "STATE", "WAVE", "ATTEMPTS", "ERROR"),
        [(row["device"], row["state"], row["wave"] + 1, row["attempts"], row["error"]) for row in rows],
    )


@rollouts.command()
def watch(number: Number, url: Url = None, token: Token = None) -> None:
    """Follow a rollout to its end; exit code 1 unless it completes."""
    server = client(url, token)
    said = ""
    while True:
        row = server.get(f"/rollouts/{number}")
        counts = ", ".join(f"{many} {state}" for state, many in sorted(row["devices"].items()))
        text = f"{row['phase']}, wave {row['stage'] + 1} of {len(row['waves'])}: {counts or 'no devices yet'}"
        if text != said:
            print(text, flush=True)
            said = text
        if row["phase"] in OVER:
            break
        time.sleep(POLL_S)
    if row["phase"] != "completed":
        raise FleetError(f"rollout {number} is {row['phase']}: {printable(row['reason'])}")


def _act(number: int, action: str, reason: str | None, url: str | None, token: str | None) -> None:
    body = {} if reason is None else {"reason": reason}
    print(client(url, token).post(f"/rollouts/{number}/{action}", body)["phase"])


@rollouts.command()
def start(number: Number, url: Url = None, token: Token = None) -> None:
    """Let a rollout go its way: twin gate, approval, waves."""
    _act(number, "start", None, url, token)


@rollouts.command()
def pause(number: Number, reason: Reason = "", url: Url = None, token: Token = None) -> None:
    """Release nobody for the time being."""
    _act(number, "pause", reason, url, token)


@rollouts.command()
def resume(number: Number, reason: Reason = "", url: Url = None, token: Token = None) -> None:
    """Go on; failures so far are no reason to pause again."""
    _act(number, "resume", reason, url, token)


@rollouts.command()
def abort(number: Number, reason: Reason = "", url: Url = None, token: Token = None) -> None:
    """Release nobody any more, for good."""
    _act(number, "abort", reason, url, token)


@rollouts.command()
def rollback(number: Number, reason: Reason = "", url: Url = None, token: Token = None) -> None:
    """Give every device back what it had."""
    _act(number, "rollback", reason, url, token)


@rollouts.command()
def approve(number: Number, reason: Reason = "", url: Url = None, token: Token = None) -> None:
    """Agree to somebody else's rollout."""
    _act(number, "approve", reason, url, token)


@rollouts.command()
def reject(number: Number, reason: Reason = "", url: Url = None, token: Token = None) -> None:
    """Refuse a rollout."""
    _act(number, "reject", reason, url, token)


@rollouts.command()
def remove(number: Number, url: Url = None, token: Token = None) -> None:
    """Forget a rollout that is over."""
    client(url, token).request("DELETE", f"/rollouts/{number}")


@rollouts.command()
def twin(
    job: Annotated[int, typer.Argument(metavar="JOB", help="Number of the twin's job.")],
    url: Url = None,
    token: Token = None,
) -> None:
    """Show what the twin saw, as JSON; 'rollout show' has the jobs' numbers."""
    show(client(url, token).get(f"/twin/{job}"))
