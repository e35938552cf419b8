# SPDX-License-Identifier: Apache-2.0
"""Rollouts in lists: how far each is, in numbers by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from fleet.machine import OVER
from fleet.models import Artifact, Rollout, RolloutDevice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["outcomes", "rollout_list", "running", "summary"]

PER_PAGE = 50


def outcomes(db: Session, numbers: Sequence[int]) -> dict[int, dict[str, int]]:
    """Count devices by their state in each rollout."""
    query = (
        select(RolloutDevice.rollout_id, RolloutDevice.state, func.count())
        .where(RolloutDevice.rollout_id.in_(numbers))
        .group_by(RolloutDevice.rollout_id, RolloutDevice.state)
    )
    found: dict[int, dict[str, int]] = {number: {} for number in numbers}
    for number, state, many in db.execute(query):
        found[number][state] = many
    return found


def summary(rollout: Rollout, artifact: Artifact | None, counts: dict[str, int]) -> dict[str, Any]:
    """Give a rollout's line."""
    return {
        "id": rollout.id,
        "name": rollout.name,
        "phase": rollout.phase,
        "reason": rollout.reason,
        "digest": rollout.digest,
        "module": f"{artifact.name} {artifact.version}".strip() if artifact else rollout.digest[:12],
        "slot": rollout.slot,
        "filter": rollout.filter,
        "stage": rollout.stage,
        "created_by": rollout.created_by,
        "approved_by": rollout.approved_by,
        "created_ms": rollout.created_ms,
        "started_ms": rollout.started_ms,
        "ended_ms": rollout.ended_ms,
        "counts": counts,
        "devices": sum(counts.values()) - counts.get("skipped", 0),
    }


def _lines(db: Session, rollouts: Sequence[Rollout]) -> list[dict[str, Any]]:
    digests = {rollout.digest for rollout in rollouts}
    modules = {row.digest: row for row in db.scalars(select(Artifact).where(Artifact.digest.in_(digests)))}
    counts = outcomes(db, [rollout.id for rollout in rollouts])
    return [summary(rollout, modules.get(rollout.digest), counts[rollout.id]) for rollout in rollouts]


def running(db: Session) -> list[dict[str, Any]]:
    """Give the rollouts that aren't over, newest first."""
    query = (
        select(Rollout)
        .where(Rollout.phase.not_in([phase.value for phase in OVER]))
        .order_by(Rollout.id.desc())
        .limit(PER_PAGE)
    )
    return _lines(db, list(db.scalars(query)))


def rollout_list(db: Session, ask: Ask) -> dict[str, Any]:
    """All rollouts, newest first."""
    query = select(Rollout).order_by(Rollout.id.desc()).limit(PER_PAGE + 1)
    if (before := ask.number("before")) is not None:
        query = query.where(Rollout.id < before)
    found = list(db.scalars(query))
    return {
        "rollouts": _lines(db, found[:PER_PAGE]),
        "older": found[PER_PAGE - 1].id if len(found) > PER_PAGE else None,
    }
