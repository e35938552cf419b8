# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet device`, `claim`, `status`, `deploy`, `clear`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent.commands.options import Args, Env
from agent.text import printable
from fleet.commands.common import Json, Token, Url, client, pairs, show, show_table, when

__all__ = ["claims", "clear", "deploy", "devices", "status"]

devices = typer.Typer(help="Devices.", no_args_is_help=True)
claims = typer.Typer(help="Claim tokens: with one a device enrols itself.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the device.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of the devices.")]
Filter = Annotated[str, typer.Option("--filter", "-f", help="docs/fleet.md has the language; default: all.")]
Slot = Annotated[int, typer.Option("--slot", "-s", min=0, max=63, help="Which slot of the device.")]
PAGE = 500


def status(json: Json = False, url: Url = None, token: Token = None) -> None:
    """Show the fleet at a glance."""
    counts = client(url, token).get("/overview")
    if json:
        show(counts)
        return
    states = ", ".join(f"{many} {state}" for state, many in sorted(counts["states"].items()))
    print(f"{counts['devices']} devices{f': {states}' if states else ''}")
    if counts["modules"]:
        show_table(
            ("SLOT", "MODULE", "VERSION", "DIGEST", "DEVICES", "FAILING"),
            [
                (row["slot"], row["name"] or "?", row["version"], row["digest"][:16], row["devices"], row["failing"])
                for row in counts["modules"]
            ],
        )


def _row(device: dict[str, Any]) -> tuple[object, ...]:
    slots = " ".join(f"{slot['slot']}:{slot['state']}" for slot in device["slots"] if slot["digest"])
    tags = " ".join(f"{key}={value}" if value else key for key, value in device["tags"].items())
    return device["name"], device["state"], device["kernel"], slots, tags, when(device["seen_ms"])


@devices.command("list")
def list_devices(filter: Filter = "all", json: Json = False, url: Url = None, token: Token = None) -> None:  # noqa: A002
    """List devices that match a filter."""
    server = client(url, token)
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = server.get("/devices", filter=filter, after=after, limit=PAGE)
        found += page["devices"]
        if page["following"] is None:
            break
        after = page["following"]
    if json:
        show(found)
        return
    show_table(("NAME", "STATE", "KERNEL", "SLOTS", "TAGS", "LAST SEEN"), [_row(device) for device in found])


@devices.command("show")
def show_device(name: Name, url: Url = None, token: Token = None) -> None:
    """Show all that is known of a device, as JSON."""
    show(client(url, token).get(f"/devices/{name}"))


@devices.command()
def add(
    name: Name,
    serial: Annotated[str | None, typer.Option("--serial", help="It enrols itself with this serial number.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="Its public key in hexadecimal: enrolled at once.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="K=V", help="Tag of the device; may come again.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Text for people; shown beside it.")] = "",
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a device known before it comes."""
    body = {"name": name, "serial": serial, "key": key, "tags": pairs(tag), "note": note}
    print(f"{name}: {client(url, token).post('/devices', body)['status']}")


@devices.command()
def tag(
    names: Names,
    set: Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="Tag to set; may come again.")] = None,  # noqa: A002
    remove: Annotated[
        list[str] | None, typer.Option("--remove", metavar="K", help="Tag to take away; may come again.")
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Set tags of devices, take others away."""
    client(url, token).post("/tags", {"devices": names, "set": pairs(set), "remove": remove or []})


@devices.command()
def note(
    name: Name,
    text: Annotated[str, typer.Argument(help="The note; replaces the one before.")],
    url: Url = None,
    token: Token = None,
) -> None:
    """Write a note to a device."""
    client(url, token).request("PATCH", f"/devices/{name}", json={"note": text})


@devices.command()
def accept(name: Name, url: Url = None, token: Token = None) -> None:
    """Let a device in that came with an expected serial number."""
    client(url, token).post(f"/devices/{name}/accept")


@devices.command()
def revoke(name: Name, url: Url = None, token: Token = None) -> None:
    """Shut a device out."""
    client(url, token).post(f"/devices/{name}/revoke")


@devices.command()
def remove(name: Name, url: Url = None, token: Token = None) -> None:
    """Forget a revoked device."""
    client(url, token).request("DELETE", f"/devices/{name}")


@devices.command()
def logs(
    name: Name,
    slot: Annotated[
        int | None, typer.Option("--slot", "-s", min=0, help="Of this slot alone; default: of all.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Print a device's output."""
    server = client(url, token)
    for record in server.get(f"/devices/{name}/logs", slot=slot):
        print(f"{record['slot']}| {printable(record['text'])}", flush=True)
    if follow:
        for message in server.events(f"log:{name}"):
            for record in message["data"].get("records", ()):
                if slot is None or record["slot"] == slot:
                    print(f"{record['slot']}| {printable(record['text'])}", flush=True)


def _command(action: str, name: str, slot: int | None, url: str | None, token: str | None) -> None:
    from fleet.errors import FleetError

    answer = client(url, token).post(f"/devices/{name}/command", {"action": action, "slot": slot})
    if not answer["ok"]:
        raise FleetError(f"{name}: {printable(str(answer['error']))}")
    print(f"{name}: {action} done")


@devices.command()
def ping(name: Name, url: Url = None, token: Token = None) -> None:
    """Ask a device for an answer, now."""
    _command("ping", name, None, url, token)


@devices.command()
def start(name: Name, slot: Slot, url: Url = None, token: Token = None) -> None:
    """Start what a slot has; the next desired state wins over it."""
    _command("start", name, slot, url, token)


@devices.command()
def stop(name: Name, slot: Slot, url: Url = None, token: Token = None) -> None:
    """Stop a slot; the next desired state wins over it."""
    _command("stop", name, slot, url, token)


def deploy(
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Digest, its beginning, or NAME:VERSION.")],
    device: Annotated[list[str], typer.Option("--device", "-d", metavar="NAME", help="Which device; may come again.")],
    slot: Slot = 0,
    arg: Args = None,
    env: Env = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Have devices run an artifact at once, without a rollout."""
    body = {"devices": device, "artifact": artifact, "slot": slot, "args": arg or [], "env": env or []}
    for name, sequence in client(url, token).post("/deploy", body).items():
        print(f"{name}: desired state {sequence}")


def clear(
    device: Annotated[list[str], typer.Option("--device", "-d", metavar="NAME", help="Which device; may come again.")],
    slot: Slot,
    url: Url = None,
    token: Token = None,
) -> None:
    """Have devices run nothing in a slot."""
    for name, sequence in client(url, token).post("/clear", {"devices": device, "slot": slot}).items():
        print(f"{name}: desired state {sequence}")


@claims.command()
def create(
    uses: Annotated[int, typer.Option("--uses", min=1, help="Devices that may come with it.")] = 1,
    days: Annotated[float, typer.Option("--days", help="Until it expires.")] = 1.0,
    tag: Annotated[list[str] | None, typer.Option("--tag", metavar="K=V", help="Given to them.")] = None,
    note: Annotated[str, typer.Option("--note", help="Text for people; shown beside it.")] = "",
    url: Url = None,
    token: Token = None,
) -> None:
    """Make a claim token and print it: it cannot be read again."""
    body = {"uses": uses, "days": days, "tags": pairs(tag), "note": note}
    print(client(url, token).post("/claims", body)["token"])


@claims.command("list")
def list_claims(json: Json = False, url: Url = None, token: Token = None) -> None:
    """List claim tokens (not their secrets)."""
    rows = client(url, token).get("/claims")
    if json:
        show(rows)
        return
    show_table(
        ("ID", "USED", "OF", "EXPIRES", "BY", "NOTE"),
        [
            (
                row["id"],
                row["uses"],
                row["max_uses"],
                "revoked" if row["revoked"] else when(row["expires_ms"]),
                row["created_by"],
                row["note"],
            )
            for row in rows
        ],
    )


@claims.command("revoke")
def revoke_claim(
    number: Annotated[int, typer.Argument(metavar="ID", help="As 'claim list' shows it.")],
    url: Url = None,
    token: Token = None,
) -> None:
    """End a claim token."""
    client(url, token).request("DELETE", f"/claims/{number}")
