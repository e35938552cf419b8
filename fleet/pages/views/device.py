# SPDX-License-Identifier: Apache-2.0
"""A device: what it is, what its slots run and should run, what that costs, what it says."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fleet import devices
from fleet.models import Artifact, LogRecord, Rollout, RolloutDevice, Sample
from fleet.pages.views.events import latest
from fleet.pages.views.logs import lines
from fleet.pages.views.states import STATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from fleet.models import Device
    from fleet.pages.site import Ask

__all__ = ["cpu_use", "device"]

LINES = 300
SAMPLES = 120
EVENTS = 15
ROLLOUTS = 10
NATIVE = "wasel.native."


def device(db: Session, ask: Ask) -> dict[str, Any]:
    """Everything that is known of a device."""
    found = devices.find(db, ask.path["name"])
    view = devices.view(found)
    modules = _modules(db, found)
    wanted = {entry["slot"]: entry for entry in view["desired"]}
    numbers = sorted({entry["slot"] for entry in view["slots"]} | set(wanted))
    reported = {entry["slot"]: entry for entry in view["slots"]}
    return {
        "device": {name: value for name, value in view.items() if name not in {"slots", "desired"}},
        "slots": [
            _slot(number, reported.get(number), wanted.get(number), modules, found, _samples(db, found, number))
            for number in numbers
        ],
        "words": {state: words for state, (_, words) in STATES.items()},
        "log": _log(db, found),
        "events": latest(db, EVENTS, device_id=found.id),
        "rollouts": _rollouts(db, found),
        "artifacts": [
            {"digest": row.digest, "name": row.name, "version": row.version}
            for row in db.scalars(select(Artifact).order_by(Artifact.created_ms.desc()).limit(100))
        ],
    }


def _modules(db: Session, found: Device) -> dict[str, Artifact]:
    digests = {slot.digest for slot in found.slots} | {slot.digest for slot in found.desired}
    return {row.digest: row for row in db.scalars(select(Artifact).where(Artifact.digest.in_(digests)))}


def _slot(
    number: int,
    reported: dict[str, Any] | None,
    wanted: dict[str, Any] | None,
    modules: dict[str, Artifact],
    found: Device,
    samples: Sequence[Sample],
) -> dict[str, Any]:
    now = reported or {"slot": number, "state": "empty", "digest": None}
    artifact = modules.get(now["digest"] or "")
    target = modules.get(wanted["digest"]) if wanted else None
    manifest = artifact.manifest if artifact else {}
    last = samples[-1].counters if samples else {}
    used = (now.get("memory") or 0) + (now.get("bookkeeping") or 0)
    return {
        "slot": number,
        "state": now["state"],
        "report": {key: value for key, value in now.items() if value not in (None, "", [], {})},
        "digest": now["digest"],
        "name": now.get("name") or (artifact.name if artifact else ""),
        "version": now.get("version") or (artifact.version if artifact else ""),
        "known": artifact is not None,
        "wanted": wanted,
        "wanted_name": f"{target.name} {target.version}".strip() if target else "",
        "settled": wanted is None or wanted["digest"] == now["digest"],
        "tier": now.get("tier") or _tier(artifact),
        "grants": manifest.get("policy", {}),
        "health": manifest.get("health", {}),
        "env": manifest.get("env", []),
        "arena": {
            "size": manifest.get("arena") or found.arena,
            "used": used,
            "memory": now.get("memory") or 0,
            "bookkeeping": now.get("bookkeeping") or 0,
            "peak": last.get("arena_peak", 0),
        },
        "cpu": {
            "budget": now.get("budget"),
            "period_us": now.get("period_us"),
            "use": cpu_use(samples),
        },
        "counters": last,
        "progress": found.progress.get(str(number)),
        "error": found.errors.get(str(number), ""),
    }


def _tier(artifact: Artifact | None) -> str:
    """Tell how a module runs, from its file: native code where there is some, the interpreter otherwise."""
    if artifact is None:
        return ""
    sections = artifact.view.get("custom_sections") or artifact.view.get("sections") or []
    return "native" if any(str(name).startswith(NATIVE) for name in sections) else "interpreter"


def cpu_use(samples: Sequence[Sample]) -> list[dict[str, float]]:
    """Give the share of the CPU between samples, in percent: [{"at_ms", "percent"}].

    A counter that went back (the device restarted) gives no point.
    """
    points = []
    for before, after in pairwise(samples):
        passed_us = (after.at_ms - before.at_ms) * 1000
        spent = after.counters.get("cpu_us", 0) - before.counters.get("cpu_us", 0)
        if passed_us > 0 and spent >= 0:
            points.append({"at_ms": after.at_ms, "percent": min(100.0, 100 * spent / passed_us)})
    return points


def _samples(db: Session, found: Device, slot: int) -> list[Sample]:
    query = select(Sample).where(Sample.device_id == found.id, Sample.slot == slot)
    return list(db.scalars(query.order_by(Sample.id.desc()).limit(SAMPLES)))[::-1]


def _log(db: Session, found: Device) -> list[dict[str, Any]]:
    query = select(LogRecord).where(LogRecord.device_id == found.id).order_by(LogRecord.id.desc()).limit(LINES)
    return lines(list(db.scalars(query))[::-1])


def _rollouts(db: Session, found: Device) -> list[dict[str, Any]]:
    query = (
        select(RolloutDevice, Rollout)
        .join(Rollout, Rollout.id == RolloutDevice.rollout_id)
        .where(RolloutDevice.device_id == found.id)
        .order_by(Rollout.id.desc())
        .limit(ROLLOUTS)
    )
    return [
        {
            "id": rollout.id,
            "name": rollout.name,
            "phase": rollout.phase,
            "state": part.state,
            "attempts": part.attempts,
            "error": part.error,
        }
        for part, rollout in db.execute(query)
    ]
