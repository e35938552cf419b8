# SPDX-License-Identifier: Apache-2.0
"""A rollout: its waves, how far each device is, its error budget, what the twin gate found, who may do what now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from fleet.clock import now_ms
from fleet.errors import NotFoundError
from fleet.models import Artifact, Device, Rollout, RolloutDevice, TwinJob
from fleet.pages.plot import budget_plot
from fleet.pages.views.events import latest
from fleet.pages.views.rollout_list import OVER, outcomes, summary
from fleet.pages.views.rollout_plan import allowed_failures, facts, wave_names

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["rollout", "rollout_map"]

EVENTS = 30
TROUBLES = 50
LETTERS = {
    "succeeded": "g",
    "updating": "u",
    "checking": "u",
    "returning": "u",
    "failed": "f",
    "penalised": "n",
    "returned": "n",
    "waiting": "o",
    "skipped": "r",
}
"""States of a rollout's devices as letters of the map."""
WORDS = {"g": "succeeded", "u": "on the way", "f": "failed", "n": "rolled back", "o": "waiting", "r": "skipped"}


def find(db: Session, ask: Ask) -> Rollout:
    """Give the rollout of the path. NotFoundError."""
    number = ask.number("number")
    found = db.get(Rollout, number) if number is not None else None
    if found is None:
        raise NotFoundError(f"rollout {ask.path['number'][:20]!r}: there is none")
    return found


def rollout(db: Session, ask: Ask) -> dict[str, Any]:
    """Everything that is known of a rollout."""
    found = find(db, ask)
    artifact = db.get(Artifact, found.digest)
    counts = outcomes(db, [found.id])[found.id]
    total = sum(counts.values())
    allowed = allowed_failures(found.plan, total)
    end_ms = found.ended_ms or now_ms()
    start_ms = found.started_ms or found.created_ms
    return {
        "rollout": summary(found, artifact, counts),
        "over": found.phase in OVER,
        "can": {},
        "args": found.args,
        "env": found.env,
        "plan": facts(found.plan),
        "waves": _waves(db, found),
        "budget": budget_plot(_history(db, found), start_ms=start_ms, end_ms=end_ms, allowed=allowed),
        "allowed": allowed,
        "twin": _twin(db, found),
        "troubles": _troubles(db, found),
        "events": latest(db, EVENTS, rollout_id=found.id),
    }


def _waves(db: Session, found: Rollout) -> list[dict[str, Any]]:
    """Give each wave with its devices by outcome; planned ones that did not begin have none."""
    query = (
        select(RolloutDevice.wave, RolloutDevice.state, func.count())
        .where(RolloutDevice.rollout_id == found.id, RolloutDevice.wave >= 0)
        .group_by(RolloutDevice.wave, RolloutDevice.state)
    )
    counts: dict[int, dict[str, int]] = {}
    for wave, state, many in db.execute(query):
        counts.setdefault(wave, {})[state] = many
    names = wave_names(found.plan)
    return [
        {
            "index": index,
            "name": names[index] if index < len(names) else f"wave {index + 1}",
            "counts": counts.get(index, {}),
            "devices": sum(counts.get(index, {}).values()),
            "now": index == found.stage and found.phase not in OVER and found.started_ms is not None,
        }
        for index in range(max([len(names), *(wave + 1 for wave in counts)]))
    ]


def _history(db: Session, found: Rollout) -> list[tuple[int, int, int]]:
    """Give (time, succeeded so far, failed so far) for each device that came to its end."""
    query = (
        select(RolloutDevice.changed_ms, RolloutDevice.state, RolloutDevice.error)
        .where(
            RolloutDevice.rollout_id == found.id,
            RolloutDevice.state.in_(("succeeded", "failed", "returning", "returned", "penalised")),
        )
        .order_by(RolloutDevice.changed_ms)
    )
    points = []
    succeeded = failed = 0
    for at_ms, state, error in db.execute(query):
        if state == "succeeded":
            succeeded += 1
        elif state == "failed" or error:
            failed += 1
        points.append((at_ms, succeeded, failed))
    return points


def _twin(db: Session, found: Rollout) -> dict[str, Any] | None:
    job = db.scalar(select(TwinJob).where(TwinJob.rollout_id == found.id).order_by(TwinJob.id.desc()))
    if job is None:
        return None
    return {
        "state": job.state,
        "error": job.error,
        "worker": job.worker,
        "attempts": job.attempts,
        "created_ms": job.created_ms,
        "ended_ms": job.ended_ms,
        "facts": [],
        "output": "",
    }


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
