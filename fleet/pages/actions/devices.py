# SPDX-License-Identifier: Apache-2.0
"""Forms of devices: claim tokens, expected serials, accept, revoke, tags, deploy, start and stop.

Each does what the API's route of the same name does, by calling it.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from fleet.api import devices as device_routes
from fleet.api import enrolment as enrolment_routes
from fleet.api import journal as journal_routes
from fleet.api.common import Operator, TheFleet
from fleet.errors import InvalidError, ServerError
from fleet.pages.site import Ask
from fleet.pages.views.enrolment import devices as enrolment_page

if TYPE_CHECKING:
    from fleet.pages.site import Site

__all__ = ["router"]

router = APIRouter()
Text = Annotated[str, Form(max_length=2000)]
Slot = Annotated[int, Form(ge=0, lt=64)]


def _to(name: str) -> Response:
    return RedirectResponse(f"/devices/{quote(name, safe='')}", 303)


def words(text: str, what: str) -> list[str]:
    """Split as a shell would. InvalidError."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidError(f"{what}: {error}") from error


def parse_tags(text: str) -> dict[str, str]:
    """Read "site=lab spare"; values may be quoted. InvalidError."""
    return {key: value for key, _, value in (word.partition("=") for word in words(text, "tags"))}


@router.post("/claims")
def make_claim(
    request: Request,
    fleet: TheFleet,
    who: Operator,
    uses: Annotated[int, Form(ge=1, le=100_000)],
    days: Annotated[int, Form(ge=1, le=365)],
    tags: Text = "",
    note: Text = "",
) -> Response:
    """Make a claim token and show it, once."""
    body = enrolment_routes.ClaimBody(uses=uses, days=days, tags=parse_tags(tags), note=note)
    made = enrolment_routes.create_claim(fleet, who, body)["token"]
    site: Site = request.app.state.site
    with fleet.database.read() as db:
        data = enrolment_page(db, Ask(fleet, who))
    base = str(request.base_url).rstrip("/")
    return site.render(request, "devices.html", {**data, "made": made, "base": base})


@router.post("/claims/{number}/revoke")
def revoke_claim(fleet: TheFleet, who: Operator, number: int) -> Response:
    """End a claim token."""
    enrolment_routes.revoke_claim(fleet, who, number)
    return RedirectResponse("/devices", 303)


@router.post("/devices")
def expect(fleet: TheFleet, who: Operator, name: Text, serial: Text) -> Response:
    """Expect a device with a serial."""
    device_routes.add_device(fleet, who, device_routes.DeviceBody(name=name.strip(), serial=serial.strip()))
    return RedirectResponse("/devices", 303)


@router.post("/devices/{name}/accept")
def accept(fleet: TheFleet, who: Operator, name: str) -> Response:
    """Let a device in."""
    device_routes.accept_device(fleet, who, name)
    return _to(name)


@router.post("/devices/{name}/revoke")
def revoke(fleet: TheFleet, who: Operator, name: str) -> Response:
    """Shut a device out."""
    device_routes.revoke_device(fleet, who, name)
    return _to(name)


@router.post("/devices/{name}/tags")
def set_tags(fleet: TheFleet, who: Operator, name: str, tags: Text = "") -> Response:
    """Give a device these tags and no others."""
    wanted = parse_tags(tags)
    have = device_routes.read_device(fleet, who, name)["tags"]
    body = device_routes.TagBody(devices=[name], set=wanted, remove=sorted(set(have) - set(wanted)))
    device_routes.set_tags(fleet, who, body)
    return _to(name)


@router.post("/devices/{name}/deploy")
def deploy_to(fleet: TheFleet, who: Operator, name: str, digest: Text, slot: Slot, args: Text = "") -> Response:
    """Have one device run a module, without a rollout."""
    body = device_routes.DeployBody(devices=[name], artifact=digest, slot=slot, args=words(args, "arguments"))
    device_routes.deploy_now(fleet, who, body)
    return _to(name)


@router.post("/devices/{name}/clear")
def clear(fleet: TheFleet, who: Operator, name: str, slot: Slot) -> Response:
    """Have a slot run nothing."""
    device_routes.clear_slot(fleet, who, device_routes.ClearBody(devices=[name], slot=slot))
    return _to(name)


@router.post("/devices/{name}/command")
async def command(
    fleet: TheFleet,
    who: Operator,
    name: str,
    action: Annotated[Literal["start", "stop", "trace", "untrace"], Form()],
    slot: Slot,
) -> Response:
    """Start or stop what a slot holds, or its trace, once; what it should run stays as it is."""
    answer = await journal_routes.give_command(fleet, who, name, journal_routes.CommandBody(action=action, slot=slot))
    if not answer["ok"]:
        raise ServerError(f"{name}: {answer['error'] or 'the device refused'}")
    return _to(name)
