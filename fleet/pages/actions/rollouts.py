# SPDX-License-Identifier: Apache-2.0
"""Forms of rollouts: a new one, and what people do to one that runs. Each calls the API's route that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from fleet.access import Principal, Role, needs
from fleet.api import rollouts as routes
from fleet.api.common import Approver, Operator, TheFleet
from fleet.errors import FleetError, InvalidError
from fleet.pages.actions.devices import words
from fleet.pages.site import Ask
from fleet.pages.views.rollout_new import rollout_new

if TYPE_CHECKING:
    from fleet.context import Fleet
    from fleet.pages.site import Site

__all__ = ["parse_waves", "plan_of", "router"]

router = APIRouter()
Text = Annotated[str, Form(max_length=2000)]
MAX_FORM = 40
"""Fields."""


def parse_waves(text: str, bake_s: float, per_minute: int | None) -> list[dict[str, Any]]:
    """Read "1, 10 %, 100 %": counts and shares; each but the last is watched for `bake_s`. InvalidError."""
    waves: list[dict[str, Any]] = []
    for part in text.split(","):
        number = part.strip().removesuffix("%").strip()
        try:
            wave: dict[str, Any] = {"percent": float(number)} if "%" in part else {"count": int(number)}
        except ValueError:
            raise InvalidError(f"waves: {part.strip()!r:.40} is neither a number of devices nor a share in %") from None
        waves.append({**wave, "bake_s": bake_s})
    waves[-1]["bake_s"] = 0.0
    if per_minute:
        waves[-1]["per_minute"] = per_minute
    return waves


def _number(form: dict[str, str], name: str) -> float:
    try:
        return float(form[name])
    except (KeyError, ValueError):
        raise InvalidError(f"{name.replace('_', ' ')}: a number is needed") from None


def plan_of(form: dict[str, str]) -> dict[str, Any]:
    """Make the plan's JSON of the form's fields; fleet.plan checks it. InvalidError."""
    plan: dict[str, Any] = {
        "waves": parse_waves(form.get("waves", ""), _number(form, "bake_s"), int(_number(form, "per_minute"))),
        "on_error": form.get("on_error", ""),
        "twin": "twin" in form,
        "approval": "approval" in form,
        "join": "join" in form,
    }
    for name in ("error_percent", "success_percent", "timeout_s", "check_s", "penalty_s"):
        plan[name] = _number(form, name)
    for name in ("min_samples", "max_in_flight", "attempts"):
        plan[name] = int(_number(form, name))
    begin, end = form.get("window_from", ""), form.get("window_to", "")
    if begin or end:
        plan["windows"] = [{"from": begin or "00:00", "to": end or "24:00"}]
    return plan


@router.post("/rollouts")
async def create(
    request: Request, fleet: TheFleet, who: Annotated[Principal, Depends(needs(Role.OPERATOR))]
) -> Response:
    """Make a rollout, and start it."""
    fields = await request.form(max_files=0, max_fields=MAX_FORM)
    form = {name: value for name, value in fields.items() if isinstance(value, str)}
    from starlette.concurrency import run_in_threadpool  # noqa: PLC0415 - only here

    return await run_in_threadpool(_create, request, fleet, who, form)


def _create(request: Request, fleet: Fleet, who: Principal, form: dict[str, str]) -> Response:
    try:
        if not form.get("artifact"):
            raise InvalidError("choose a module")
        body = routes.RolloutBody(
            name=form.get("name", "")[:128],
            artifact=form["artifact"],
            filter=(form.get("filter", "").strip() or "all")[:2000],
            plan=plan_of(form),
            slot=int(_number(form, "slot")),
            args=words(form.get("args", ""), "arguments"),
            start=True,
        )
        made = routes.create_rollout(fleet, who, body)
    except FleetError as error:
        site: Site = request.app.state.site
        with fleet.database.read() as db:
            data = rollout_new(db, Ask(fleet, who))
        chosen = {**dict.fromkeys(("twin", "approval", "join"), ""), **form}
        return site.render(
            request,
            "rollout_new.html",
            {**data, "form": {**data["form"], **chosen}, "error": str(error)},
            status=422,
        )
    return RedirectResponse(f"/rollouts/{made['id']}", 303)


def _to(number: int) -> Response:
    return RedirectResponse(f"/rollouts/{number}", 303)


@router.post("/rollouts/{number}/start")
def start(fleet: TheFleet, who: Operator, number: int) -> Response:
    """Let it go its way."""
    routes.start_rollout(fleet, who, number)
    return _to(number)


@router.post("/rollouts/{number}/pause")
def pause(fleet: TheFleet, who: Operator, number: int) -> Response:
    """Release nobody for the time being."""
    routes.pause(fleet, who, number, routes.ReasonBody())
    return _to(number)


@router.post("/rollouts/{number}/resume")
def resume(fleet: TheFleet, who: Operator, number: int) -> Response:
    """Go on."""
    routes.resume(fleet, who, number, routes.ReasonBody())
    return _to(number)


@router.post("/rollouts/{number}/abort")
def abort(fleet: TheFleet, who: Operator, number: int) -> Response:
    """Stop it, for good."""
    routes.abort(fleet, who, number, routes.ReasonBody())
    return _to(number)


@router.post("/rollouts/{number}/rollback")
def roll_back(fleet: TheFleet, who: Operator, number: int) -> Response:
    """Give every device back what it had."""
    routes.roll_back(fleet, who, number, routes.ReasonBody())
    return _to(number)


@router.post("/rollouts/{number}/approve")
def approve(fleet: TheFleet, who: Approver, number: int) -> Response:
    """Agree to somebody else's rollout."""
    routes.approve(fleet, who, number, routes.ReasonBody())
    return _to(number)


@router.post("/rollouts/{number}/reject")
def reject(fleet: TheFleet, who: Approver, number: int) -> Response:
    """Refuse it."""
    routes.reject(fleet, who, number, routes.ReasonBody())
    return _to(number)
