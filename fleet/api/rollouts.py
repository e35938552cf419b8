# SPDX-License-Identifier: Apache-2.0
"""Routes of rollouts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from fleet import devices, rollouts
from fleet.access import Principal
from fleet.api.common import Admin, Approver, Body, Limit, Operator, TheFleet, Viewer
from fleet.context import Fleet
from fleet.plan import Plan

__all__ = ["router"]

router = APIRouter(tags=["rollouts"])
Strings = Annotated[list[str], Field(max_length=256)]


class RolloutBody(Body):
    """A rollout to be made."""

    name: Annotated[str, Field(max_length=128)]
    artifact: str
    filter: Annotated[str, Field(max_length=2000)]
    plan: dict[str, Any] = {}
    slot: int = 0
    args: Strings = []
    env: Strings = []
    start: bool = False
    """At once."""


class ReasonBody(Body):
    """Why somebody does what they do."""

    reason: Annotated[str, Field(max_length=500)] = ""


@router.get("/rollouts/plan")
def default_plan(_who: Viewer) -> dict[str, Any]:
    """Give the plan that counts where a rollout says nothing."""
    return Plan().table()


@router.get("/rollouts/preview")
def preview(fleet: TheFleet, _who: Viewer, filter: str) -> dict[str, Any]:  # noqa: A002 - its name in the query
    """Count the enrolled devices that match a filter, and name the first."""
    with fleet.database.read() as session:
        page = devices.list_devices(session, f"({filter}) and status = enrolled", limit=20)
        return {"matching": page.total, "first": [device.name for device in page.devices]}


@router.get("/rollouts")
def list_rollouts(
    fleet: TheFleet, _who: Viewer, phase: str = "", before: int | None = None, limit: Limit = 100
) -> list[dict[str, Any]]:
    """List rollouts, newest first."""
    with fleet.database.read() as session:
        found = rollouts.list_rollouts(session, phase=phase, before=before, limit=limit)
        return [rollouts.view(session, rollout) for rollout in found]


@router.post("/rollouts", status_code=201)
def create_rollout(fleet: TheFleet, who: Operator, body: RolloutBody) -> dict[str, Any]:
    """Make a rollout."""
    with fleet.database.write() as session:
        rollout = rollouts.create(
            session,
            who,
            name=body.name,
            artifact=body.artifact,
            filter=body.filter,
            plan=body.plan,
            require_twin=fleet.settings.require_twin,
            slot=body.slot,
            args=body.args,
            env=body.env,
        )
        if body.start:
            rollouts.start(session, who, rollout.id)
        answer = rollouts.view(session, rollout, full=True)
    fleet.rollouts_changed(answer["id"])
    return answer


@router.get("/rollouts/{number}")
def read_rollout(fleet: TheFleet, _who: Viewer, number: int) -> dict[str, Any]:
    """Give a rollout with its waves, twin jobs and curve."""
    with fleet.database.read() as session:
        return rollouts.view(session, rollouts.find(session, number), full=True)


@router.get("/rollouts/{number}/devices")
def list_members(
    fleet: TheFleet, _who: Viewer, number: int, state: str = "", after: str = "", limit: Limit = 100
) -> list[dict[str, Any]]:
    """List a rollout's devices by name."""
    with fleet.database.read() as session:
        rollouts.find(session, number)
        return rollouts.members(session, number, state=state, after=after, limit=limit)


@router.delete("/rollouts/{number}", status_code=204)
def remove_rollout(fleet: TheFleet, who: Admin, number: int) -> None:
    """Forget a rollout that is over."""
    with fleet.database.write() as session:
        rollouts.remove(session, who, number)


@router.post("/rollouts/{number}/start")
def start_rollout(fleet: TheFleet, who: Operator, number: int) -> dict[str, Any]:
    """Let it go its way: twin gate, approval, waves."""
    with fleet.database.write() as session:
        answer = rollouts.view(session, rollouts.start(session, who, number))
    fleet.rollouts_changed(number)
    return answer


def _act(fleet: Fleet, who: Principal, number: int, action: str, reason: str) -> dict[str, Any]:
    with fleet.database.write() as session:
        answer = rollouts.view(session, rollouts.act(session, who, number, action, reason))
    fleet.rollouts_changed(number)
    return answer


@router.post("/rollouts/{number}/pause")
def pause(fleet: TheFleet, who: Operator, number: int, body: ReasonBody) -> dict[str, Any]:
    """Release nobody for the time being."""
    return _act(fleet, who, number, "pause", body.reason)


@router.post("/rollouts/{number}/resume")
def resume(fleet: TheFleet, who: Operator, number: int, body: ReasonBody) -> dict[str, Any]:
    """Go on; failures so far are no reason to pause again."""
    return _act(fleet, who, number, "resume", body.reason)


@router.post("/rollouts/{number}/abort")
def abort(fleet: TheFleet, who: Operator, number: int, body: ReasonBody) -> dict[str, Any]:
    """Release nobody any more, for good."""
    return _act(fleet, who, number, "abort", body.reason)


@router.post("/rollouts/{number}/rollback")
def roll_back(fleet: TheFleet, who: Operator, number: int, body: ReasonBody) -> dict[str, Any]:
    """Give every device back what it had."""
    return _act(fleet, who, number, "rollback", body.reason)


@router.post("/rollouts/{number}/approve")
def approve(fleet: TheFleet, who: Approver, number: int, body: ReasonBody) -> dict[str, Any]:
    """Agree to somebody else's rollout."""
    return _act(fleet, who, number, "approve", body.reason)


@router.post("/rollouts/{number}/reject")
def reject(fleet: TheFleet, who: Approver, number: int, body: ReasonBody) -> dict[str, Any]:
    """Refuse it."""
    return _act(fleet, who, number, "reject", body.reason)
