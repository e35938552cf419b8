# SPDX-License-Identifier: Apache-2.0
"""A rollout: its waves, how far each device is, its error budget, what the twin gate found, who may do what now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from agent.errors import RefusedError
from fleet import rollouts
from fleet.access import Role
from fleet.errors import NotFoundError
from fleet.machine import OVER, TRANSITIONS, Event, Phase
from fleet.models import Device, RolloutDevice, TwinJob
from fleet.models import Event as JournalEvent
from fleet.pages.plot import budget_plot
from fleet.pages.views.events import latest
from fleet.pages.views.logs import readable
from fleet.plan import Plan
from fleet.twin_worker import report_table

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.access import Principal
    from fleet.models import Rollout
    from fleet.pages.site import Ask
    from fleet.settings import Settings

__all__ = ["rollout", "rollout_map"]

EVENTS = 30
TROUBLES = 50
LETTERS = {
    "succeeded": "g",
    "updating": "u",
    "checking": "u",
    "returning": "u",
    "failed": "f",
    "stuck": "f",
    "penalised": "n",
    "returned": "n",
    "waiting": "o",
    "skipped": "r",
}
"""States of a rollout's devices as letters of the map."""
WORDS = {"g": "succeeded", "u": "on the way", "f": "failed", "n": "rolled back", "o": "waiting", "r": "skipped"}
ACTIONS = {
    "start": (Event.START, Role.OPERATOR),
    "approve": (Event.APPROVE, Role.APPROVER),
    "reject": (Event.REJECT, Role.APPROVER),
    "resume": (Event.RESUME, Role.OPERATOR),
    "pause": (Event.PAUSE, Role.OPERATOR),
    "rollback": (Event.ROLL_BACK, Role.OPERATOR),
    "abort": (Event.ABORT, Role.OPERATOR),
}


def find(db: Session, ask: Ask) -> Rollout:
    """Give the rollout of the path. NotFoundError."""
    number = ask.number("number")
    if number is None:
        raise NotFoundError(f"rollout {ask.path['number'][:20]!r}: there is none")
    return rollouts.find(db, number)


def rollout(db: Session, ask: Ask) -> dict[str, Any]:
    """Everything that is known of a rollout."""
    found = find(db, ask)
    view = rollouts.view(db, found, full=True)
    view["plan"] = Plan.parse(found.plan).table()
    everybody = sum(view["devices"].values()) or view["matching"]
    curve = [(point["ended"], point["failed"]) for point in view.pop("curve")]
    errors = view["errors"]
    return {
        "rollout": view,
        "module": _module(view),
        "everybody": everybody,
        "trouble": _trouble(db, found),
        "over": Phase(found.phase) in OVER,
        "can": _can(found, ask.who),
        "waves": view.pop("waves"),
        "budget": budget_plot(
            curve,
            total=everybody,
            error_percent=errors["allowed_percent"],
            min_samples=errors["min_samples"],
        ),
        "twin": _twin(db, found, ask.fleet.settings),
        "troubles": _troubles(db, found),
        "events": latest(db, EVENTS, rollout_id=found.id),
    }


def _trouble(db: Session, found: Rollout) -> str:
    """Say why it was paused, stopped or taken back, if it was: what came later says only how that went."""
    query = select(JournalEvent).where(
        JournalEvent.rollout_id == found.id,
        JournalEvent.severity == "warning",
        JournalEvent.kind.startswith("rollout.", autoescape=True),
    )
    last = db.scalar(query.order_by(JournalEvent.id.desc()).limit(1))
    if last is None or found.phase == Phase.RUNNING.value:
        return ""
    return str(last.data.get("reason") or last.text)


def _module(view: dict[str, Any]) -> str:
    artifact = view["artifact"]
    return f"{artifact['name']} {artifact['version']}".strip() if artifact else view["digest"][:12]


def _can(found: Rollout, who: Principal) -> dict[str, Any]:
    """Say which buttons there are for `who`, and why one that matters is missing."""
    phase = Phase(found.phase)
    can: dict[str, Any] = {
        name: (phase, event) in TRANSITIONS and who.role >= role for name, (event, role) in ACTIONS.items()
    }
    can["why"] = ""
    if phase is Phase.APPROVAL:
        if who.role < Role.APPROVER:
            can["why"] = "It waits for the approval of an approver."
        elif who.name == found.created_by:
            can["approve"], can["why"] = False, "You made it: somebody else has to approve it."
    if phase is Phase.GATE:
        can["why"] = "It goes on by itself when the twin has passed."
    return can


def _twin(db: Session, found: Rollout, settings: Settings) -> dict[str, Any] | None:
    """Give the last job of the gate with the facts of its report, which is verified anew."""
    job = db.scalar(select(TwinJob).where(TwinJob.rollout_id == found.id).order_by(TwinJob.id.desc()).limit(1))
    if job is None:
        return None
    view: dict[str, Any] = {
        "state": job.state,
        "error": job.error,
        "worker": job.worker,
        "attempts": job.attempts,
        "created_ms": job.created_ms,
        "ended_ms": job.ended_ms,
        "report": None,
        "output": [],
    }
    if job.report is not None:
        try:
            report = report_table(settings, job)
        except RefusedError as error:
            view["error"] = str(error)
        else:
            view["output"] = [{**line, "text": readable(line["text"])} for line in report.pop("output")]
            view["report"] = report
    return view


def _troubles(db: Session, found: Rollout) -> list[dict[str, Any]]:
    query = (
        select(Device.name, RolloutDevice.state, RolloutDevice.wave, RolloutDevice.attempts, RolloutDevice.error)
        .join(Device, Device.id == RolloutDevice.device_id)
        .where(RolloutDevice.rollout_id == found.id, RolloutDevice.error != "")
        .order_by(RolloutDevice.changed_ms.desc())
        .limit(TROUBLES)
    )
    return [
        {"device": name, "state": state, "wave": wave, "attempts": attempts, "error": error}
        for name, state, wave, attempts, error in db.execute(query)
    ]


def rollout_map(db: Session, ask: Ask) -> dict[str, Any]:
    """Names of a rollout's devices, and a letter each for their states, by wave."""
    found = find(db, ask)
    query = (
        select(Device.name, RolloutDevice.state)
        .join(Device, Device.id == RolloutDevice.device_id)
        .where(RolloutDevice.rollout_id == found.id)
        .order_by(RolloutDevice.wave < 0, RolloutDevice.wave, Device.name)
    )
    rows = [(name, state) for name, state in db.execute(query)]
    return {
        "names": [name for name, _ in rows],
        "states": "".join(LETTERS.get(state, "o") for _, state in rows),
        "words": WORDS,
    }
