# SPDX-License-Identifier: Apache-2.0
"""Rollouts as people handle them: made, approved, paused, resumed, aborted, taken back; listed and shown.

What they do by themselves is in fleet.engine, what may follow what in fleet.machine. Every change of a person is in
the audit log, every change of phase in the journal. Rows are locked while they are changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import case, func, select

from fleet import artifacts, audit, devices, journal
from fleet.access import Role
from fleet.clock import now_ms
from fleet.deploy import MAX_SLOT, Want
from fleet.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from fleet.machine import OVER, DeviceState, Event, Phase, advance
from fleet.models import Artifact, Device, Rollout, RolloutDevice, TwinJob
from fleet.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from fleet.access import Principal

__all__ = ["act", "create", "find", "list_rollouts", "members", "move", "outcomes", "start", "view", "want_of"]

MAX_NAME = 128
VIEWED = (
    "id", "name", "phase", "reason", "digest", "slot", "args", "env", "filter", "plan", "stage", "stage_ms",
    "created_by", "approved_by", "created_ms", "started_ms", "ended_ms", "version",
)  # fmt: skip
ACTIONS = {
    "pause": (Event.PAUSE, Role.OPERATOR),
    "resume": (Event.RESUME, Role.OPERATOR),
    "abort": (Event.ABORT, Role.OPERATOR),
    "rollback": (Event.ROLL_BACK, Role.OPERATOR),
    "approve": (Event.APPROVE, Role.APPROVER),
    "reject": (Event.REJECT, Role.APPROVER),
}


def find(session: Session, number: int, *, lock: bool = False) -> Rollout:
    """Give a rollout. NotFoundError."""
    query = select(Rollout).where(Rollout.id == number)
    rollout = session.scalar(query.with_for_update() if lock else query)
    if rollout is None:
        raise NotFoundError(f"rollout {number}: there is none")
    return rollout


def want_of(rollout: Rollout, artifact: Artifact) -> Want:
    """Give what devices should run."""
    return Want(artifact.digest, artifact.size, tuple(rollout.args), tuple(rollout.env), artifact.file)


def create(
    session: Session,
    principal: Principal,
    *,
    name: str,
    artifact: str,
    filter: str,  # noqa: A002 - what it is called everywhere
    plan: object,
    require_twin: bool,
    slot: int = 0,
    args: Sequence[str] = (),
    env: Sequence[str] = (),
) -> Rollout:
    """Make a rollout; it does nothing until it is started."""
    principal.must(Role.OPERATOR)
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidError(f"name: a printable text of 1 to {MAX_NAME} characters is needed")
    if not 0 <= slot < MAX_SLOT:
        raise InvalidError(f"slot {slot}: must be from 0 to {MAX_SLOT - 1}")
    checked = Plan.parse(plan)
    if require_twin and not checked.twin:
        raise InvalidError("plan: twin is false, but this server lets nothing out that no twin has run")
    matching = devices.count(session, filter)
    found = artifacts.find(session, artifact)
    rollout = Rollout(
        name=name,
        phase=Phase.DRAFT.value,
        digest=found.digest,
        slot=slot,
        args=list(args),
        env=list(env),
        filter=filter,
        plan=checked.table(),
        created_by=principal.name,
        created_ms=now_ms(),
    )
    want_of(rollout, found).check()
    session.add(rollout)
    session.flush()
    detail = {"name": name, "digest": found.digest, "slot": slot, "filter": filter, "matching": matching}
    audit.append(session, principal, "rollout.create", str(rollout.id), detail | {"plan": rollout.plan})
    return rollout


def move(session: Session, rollout: Rollout, event: Event, reason: str, who: str) -> None:
    """Carry an event out; the caller has locked the row. ConflictError."""
    before = rollout.phase
    phase = advance(Phase(before), event)
    now = now_ms()
    rollout.phase, rollout.reason = phase.value, reason[:1000]
    if phase == Phase.RUNNING and rollout.started_ms is None:
        rollout.started_ms, rollout.stage, rollout.stage_ms = now, 0, now
    if phase in OVER:
        rollout.ended_ms = now
    worse = event in (Event.PAUSE, Event.ABORT, Event.ROLL_BACK, Event.GATE_FAILED, Event.REJECT)
    journal.add_event(
        session,
        f"rollout.{phase.value}",
        f"rollout {rollout.id} ({rollout.name}): {before} -> {phase.value}{f': {reason}' if reason else ''}",
        "warning" if worse else "info",
        rollout_id=rollout.id,
        who=who,
        reason=reason,
    )


def start(session: Session, principal: Principal, number: int) -> Rollout:
    """Let it go its way: twin gate, approval, waves."""
    principal.must(Role.OPERATOR)
    rollout = find(session, number, lock=True)
    move(session, rollout, Event.START, "", principal.name)
    audit.append(session, principal, "rollout.start", str(number), {})
    return rollout


def act(session: Session, principal: Principal, number: int, action: str, reason: str = "") -> Rollout:
    """Do what a person wants: one of ACTIONS.

    Raises:
        DeniedError: the role is too low, or it is one's own rollout that is to be approved.
        ConflictError: not in this phase.

    """
    event, role = ACTIONS[action]
    principal.must(role)
    rollout = find(session, number, lock=True)
    if event == Event.APPROVE:
        if principal.name == rollout.created_by:
            raise DeniedError("another person than the one who made the rollout has to approve it")
        rollout.approved_by = principal.name
    if event == Event.RESUME:
        seen = outcomes(session, number)
        bad = seen.get("failed", 0) + seen.get("penalised", 0)
        rollout.forgiven = {"bad": bad, "decided": bad + seen.get("succeeded", 0), "stage": rollout.stage}
    text = reason or f"by {principal.name}"
    move(session, rollout, event, text, principal.name)
    audit.append(session, principal, f"rollout.{action}", str(number), {"reason": reason})
    return rollout


def list_rollouts(session: Session, *, phase: str = "", limit: int = 100, before: int | None = None) -> list[Rollout]:
    """List rollouts, newest first."""
    query = select(Rollout).order_by(Rollout.id.desc()).limit(limit)
    if phase:
        query = query.where(Rollout.phase == phase)
    if before is not None:
        query = query.where(Rollout.id < before)
    return list(session.scalars(query))


def outcomes(session: Session, number: int) -> dict[str, int]:
    """Count its devices by state."""
    query = (
        select(RolloutDevice.state, func.count())
        .where(RolloutDevice.rollout_id == number)
        .group_by(RolloutDevice.state)
    )
    return dict(session.execute(query).all())


def _waves(session: Session, rollout: Rollout, plan: Plan) -> list[dict[str, Any]]:
    query = (
        select(RolloutDevice.wave, RolloutDevice.state, func.count())
        .where(RolloutDevice.rollout_id == rollout.id)
        .group_by(RolloutDevice.wave, RolloutDevice.state)
    )
    by_wave: dict[int, dict[str, int]] = {}
    for place, state, many in session.execute(query):
        by_wave.setdefault(place, {})[state] = many
    skipped = sum(states.get(DeviceState.SKIPPED.value, 0) for states in by_wave.values())
    total = sum(sum(states.values()) for states in by_wave.values()) - skipped
    waves = []
    before = 0
    for index, wave in enumerate(plan.stages):
        states = by_wave.get(index, {})
        target = wave.target(total, before) - before
        table = {"count": wave.count, "percent": wave.percent, "per_minute": wave.per_minute, "bake_s": wave.bake_s}
        waves.append(
            {"index": index, "target": target, "devices": states, "running": index == rollout.stage}
            | {name: value for name, value in table.items() if value is not None}
        )
        before += max(target, sum(states.values()))
    return waves


def view(session: Session, rollout: Rollout, *, full: bool = False) -> dict[str, Any]:
    """Give a rollout as JSON; `full` with its waves, twin jobs and curve."""
    artifact = session.get(Artifact, rollout.digest)
    plan = Plan.parse(rollout.plan)
    counted = outcomes(session, rollout.id)
    bad = counted.get("failed", 0) + counted.get("penalised", 0)
    decided = bad + counted.get("succeeded", 0)
    table = {name: getattr(rollout, name) for name in VIEWED} | {
        "artifact": {"name": artifact.name, "version": artifact.version, "sequence": artifact.sequence}
        if artifact
        else None,
        "devices": counted,
        "total": sum(counted.values()) - counted.get("skipped", 0),
        "errors": {"bad": bad, "decided": decided, "percent": round(100 * bad / decided, 2) if decided else 0.0}
        | {"allowed_percent": plan.error_percent, "min_samples": plan.min_samples},
    }
    if full:
        table |= {
            "waves": _waves(session, rollout, plan),
            "matching": devices.count(session, rollout.filter),
            "twin": [_job(job) for job in _jobs(session, rollout.id)],
            "curve": _curve(session, rollout.id),
        }
    return table


def _jobs(session: Session, number: int) -> list[TwinJob]:
    return list(session.scalars(select(TwinJob).where(TwinJob.rollout_id == number).order_by(TwinJob.id)))


def _job(job: TwinJob) -> dict[str, Any]:
    names = ("id", "state", "worker", "attempts", "error", "created_ms", "ended_ms")
    return {name: getattr(job, name) for name in names} | {"report": job.report is not None}


def _curve(session: Session, number: int) -> list[dict[str, int]]:
    """Give when devices came to an end, in at most a few hundred steps: for the plot of the error budget."""
    done = (DeviceState.SUCCEEDED.value, DeviceState.FAILED.value, DeviceState.RETURNED.value)
    bounds = session.execute(
        select(func.min(RolloutDevice.changed_ms), func.max(RolloutDevice.changed_ms)).where(
            RolloutDevice.rollout_id == number, RolloutDevice.state.in_(done)
        )
    ).one()
    if bounds[0] is None:
        return []
    step = max(1, (bounds[1] - bounds[0]) // 200)
    bucket = (RolloutDevice.changed_ms - bounds[0]) // step
    bad = case((RolloutDevice.state == DeviceState.FAILED.value, 1), else_=0)
    rows = session.execute(
        select(bucket, func.count(), func.sum(bad))
        .where(RolloutDevice.rollout_id == number, RolloutDevice.state.in_(done))
        .group_by(bucket)
        .order_by(bucket)
    )
    curve, ended, failed = [], 0, 0
    for place, many, wrong in rows:
        ended, failed = ended + many, failed + int(wrong or 0)
        curve.append({"at_ms": bounds[0] + int(place) * step, "ended": ended, "failed": failed})
    return curve


def members(
    session: Session, number: int, *, state: str = "", after: str = "", limit: int = 100
) -> list[dict[str, Any]]:
    """List a rollout's devices by name."""
    query = (
        select(RolloutDevice, Device.name)
        .join(Device, Device.id == RolloutDevice.device_id)
        .where(RolloutDevice.rollout_id == number, Device.name > after)
        .order_by(Device.name)
        .limit(limit)
    )
    if state:
        query = query.where(RolloutDevice.state == state)
    names = ("state", "wave", "attempts", "sequence", "released_ms", "until_ms", "error", "changed_ms")
    return [
        {"device": name, **{column: getattr(row, column) for column in names}} for row, name in session.execute(query)
    ]


def remove(session: Session, principal: Principal, number: int) -> None:
    """Forget a rollout that is over, or never began."""
    principal.must(Role.ADMIN)
    rollout = find(session, number, lock=True)
    if Phase(rollout.phase) not in OVER | {Phase.DRAFT}:
        raise ConflictError(f"rollout {number} is {rollout.phase}: abort it first")
    session.delete(rollout)
    audit.append(session, principal, "rollout.remove", str(number), {"name": rollout.name})
