# SPDX-License-Identifier: Apache-2.0
"""Routes of devices: listing, tags, what they should run."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from agent.keys import KEY_SIZE
from fleet import deploy, devices, overview
from fleet.api.common import Admin, Body, Limit, Operator, TheFleet, Viewer
from fleet.errors import InvalidError

__all__ = ["router"]

router = APIRouter(tags=["devices"])
Names = Annotated[list[str], Field(min_length=1, max_length=20_000)]
Strings = Annotated[list[str], Field(max_length=256)]


class DeviceBody(Body):
    """A device to be known."""

    name: str
    serial: str | None = None
    key: str | None = None
    """Public key, 32 bytes in hexadecimal."""
    tags: dict[str, str] = {}
    note: str = ""


class NoteBody(Body):
    """A note."""

    note: Annotated[str, Field(max_length=1000)]


class TagBody(Body):
    """Tags to set and to take away."""

    devices: Names
    set: dict[str, str] = {}
    remove: Strings = []


class DeployBody(Body):
    """What devices should run, at once."""

    devices: Names
    artifact: str
    slot: int = 0
    args: Strings = []
    env: Strings = []


class ClearBody(Body):
    """A slot that should run nothing."""

    devices: Names
    slot: int


def _key(text: str | None) -> bytes | None:
    try:
        raw = bytes.fromhex(text) if text is not None else None
    except ValueError:
        raw = b""
    if raw is not None and len(raw) != KEY_SIZE:
        raise InvalidError(f"key: {KEY_SIZE} bytes in hexadecimal are needed")
    return raw


@router.get("/overview")
def read_overview(fleet: TheFleet, _who: Viewer) -> dict[str, Any]:
    """Count devices by state, modules by version, rollouts by phase."""
    with fleet.database.read() as session:
        return overview.counts(session)


@router.get("/overview/map")
def read_map(fleet: TheFleet, _who: Viewer) -> dict[str, str]:
    """Give the state of every device in one word, by name."""
    with fleet.database.read() as session:
        return overview.state_map(session)


@router.get("/devices")
def list_devices(
    fleet: TheFleet,
    _who: Viewer,
    filter: str = "all",  # noqa: A002 - its name in the query
    after: str = "",
    limit: Limit = 100,
) -> dict[str, Any]:
    """List devices by name; `after` is the last name of the page before."""
    with fleet.database.read() as session:
        page = devices.list_devices(session, filter, after=after, limit=limit)
        return {
            "devices": [devices.view(device) for device in page.devices],
            "total": page.total,
            "following": page.following,
        }


@router.post("/devices", status_code=201)
def add_device(fleet: TheFleet, who: Operator, body: DeviceBody) -> dict[str, Any]:
    """Make a device known: with a serial it may enrol itself."""
    with fleet.database.write() as session:
        device = devices.add(
            session, who, body.name, serial=body.serial, key=_key(body.key), tags=body.tags, note=body.note
        )
        answer = devices.view(device)
    fleet.devices_changed()
    return answer


@router.get("/devices/{name}")
def read_device(fleet: TheFleet, _who: Viewer, name: str) -> dict[str, Any]:
    """Give a device."""
    with fleet.database.read() as session:
        return devices.view(devices.find(session, name))


@router.patch("/devices/{name}")
def note_device(fleet: TheFleet, who: Operator, name: str, body: NoteBody) -> dict[str, Any]:
    """Write a note to a device."""
    with fleet.database.write() as session:
        return devices.view(devices.note(session, who, name, body.note))


@router.delete("/devices/{name}", status_code=204)
def remove_device(fleet: TheFleet, who: Admin, name: str) -> None:
    """Forget a revoked device."""
    with fleet.database.write() as session:
        devices.remove(session, who, name)
    fleet.devices_changed()


@router.post("/devices/{name}/accept")
def accept_device(fleet: TheFleet, who: Operator, name: str) -> dict[str, Any]:
    """Let a pending device in."""
    with fleet.database.write() as session:
        answer = devices.view(devices.accept(session, who, name))
    fleet.devices_changed()
    return answer


@router.post("/devices/{name}/revoke")
def revoke_device(fleet: TheFleet, who: Operator, name: str) -> dict[str, Any]:
    """Shut a device out."""
    with fleet.database.write() as session:
        answer = devices.view(devices.revoke(session, who, name))
    fleet.devices_changed()
    return answer


@router.post("/tags")
def set_tags(fleet: TheFleet, who: Operator, body: TagBody) -> dict[str, int]:
    """Set tags of devices, take others away."""
    with fleet.database.write() as session:
        return {"devices": devices.set_tags(session, who, body.devices, body.set, body.remove)}


@router.post("/deploy")
def deploy_now(fleet: TheFleet, who: Operator, body: DeployBody) -> dict[str, int]:
    """Have devices run an artifact, without a rollout; gives each one's sequence."""
    with fleet.database.write() as session:
        answer = deploy.deploy(session, who, body.devices, body.artifact, slot=body.slot, args=body.args, env=body.env)
    fleet.desired_changed()
    return answer


@router.post("/clear")
def clear_slot(fleet: TheFleet, who: Operator, body: ClearBody) -> dict[str, int]:
    """Have devices run nothing in a slot."""
    with fleet.database.write() as session:
        answer = deploy.clear(session, who, body.devices, body.slot)
    fleet.desired_changed()
    return answer
