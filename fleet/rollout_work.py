# SPDX-License-Identifier: Apache-2.0
"""One step of one rollout: facts from the database, decisions of fleet.machine, orders into the database.

Contract: `run` works within a transaction of its caller, who has locked the rollout's row and leads. What the devices
on their way reported is judged, then one decision is made and carried out, RELEASES devices at most.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, and_, bindparam, case, func, insert, literal, select, update
from sqlalchemy.orm import aliased

from fleet import journal, twin_gate
from fleet.deploy import BATCH, Want, set_slots
from fleet.filters import compile_filter, parse
from fleet.machine import (
    FLYING,
    Counts,
    Decision,
    DeviceState,
    Event,
    Facts,
    Health,
    Member,
    Phase,
    Seen,
    decide,
    judge,
)
from fleet.models import Artifact, DesiredSlot, Device, DeviceSlot, Rollout, RolloutDevice
from fleet.plan import Plan
from fleet.rollouts import move, outcomes, want_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

__all__ = ["RolloutWork", "Step"]

RELEASES = 1000
"""Devices released in one step."""
JOIN_MS = 3000
"""How often devices that match are looked for."""
TELL_FAILURES = 100
"""Events about single devices in one step."""
BOXED_AFTER = 3
"""Failures in a row after which no rollout takes a device for a while."""
_FLYING = tuple(state.value for state in FLYING)


@dataclass
class Step:
    """What a step did."""

    ordered: bool = False
    """Desired states changed."""
    again: bool = False
    """There is more to do at once."""
    changed: bool = False


class RolloutWork:
    """One step of one rollout, within one transaction."""

    def __init__(self, session: Session, rollout: Rollout, step: Step, now: int) -> None:
        self._session = session
        self._rollout = rollout
        self._step = step
        self._now = now
        self._plan = Plan.parse(rollout.plan)
        artifact = session.get_one(Artifact, rollout.digest)
        self._want = want_of(rollout, artifact)
        self._exit: int | None = (artifact.manifest.get("health") or {}).get("exit")

    def run(self, dirty: set[str] | None) -> None:
        """Do the step; `dirty` are the devices that reported, None: look at all of them."""
        rollout = self._rollout
        phase = rollout.phase
        if phase == Phase.GATE.value:
            self._gate()
        if rollout.phase == Phase.APPROVAL.value and not self._plan.approval:
            move(self._session, rollout, Event.APPROVE, "no approval was asked for", "system")
        if rollout.phase == Phase.RUNNING.value:
            self._join()
        self._judge(dirty)
        decision = decide(self._facts(), self._counts(), self._plan, self._now)
        self._carry_out(decision)
        if rollout.phase != phase:
            self._step.changed = self._step.again = True

    def _gate(self) -> None:
        rollout = self._rollout
        if not self._plan.twin:
            move(self._session, rollout, Event.GATE_PASSED, "no twin gate was asked for", "system")
            return
        verdict = twin_gate.verdict(self._session, rollout, self._now)
        if verdict is not None:
            passed, reason = verdict
            move(self._session, rollout, Event.GATE_PASSED if passed else Event.GATE_FAILED, reason, "twin gate")

    # Members

    def _join(self) -> None:
        """Take devices in that match and are not in yet."""
        rollout = self._rollout
        first = rollout.joined_ms == 0
        if not first and (not self._plan.join or self._now - rollout.joined_ms < JOIN_MS):
            return
        rollout.joined_ms = self._now
        inside = (
            select(RolloutDevice.device_id)
            .where(RolloutDevice.rollout_id == rollout.id, RolloutDevice.device_id == Device.id)
            .correlate(Device)
        )
        fresh = select(
            literal(rollout.id, BigInteger),
            Device.id,
            literal(DeviceState.WAITING.value),
            literal(self._now, BigInteger),
        ).where(compile_filter(parse(rollout.filter)), Device.status == "enrolled", ~inside.exists())
        columns = ["rollout_id", "device_id", "state", "changed_ms"]
        added = self._session.execute(insert(RolloutDevice).from_select(columns, fresh)).rowcount  # type: ignore[attr-defined]
        if added:
            self._step.changed = self._step.again = True

    def _rows(self, dirty: set[str] | None) -> list[Any]:
        """Give devices on their way that reported, or whose time is over."""
        member, want = RolloutDevice, aliased(DesiredSlot)
        query = (
            select(
                member.device_id, member.state, member.attempts, member.sequence, member.until_ms, member.starts,
                member.error.label("said"), member.before, Device.name, Device.online, Device.applied, Device.errors,
                DeviceSlot.state.label("slot_state"), DeviceSlot.digest, DeviceSlot.exit, DeviceSlot.trap,
                DeviceSlot.error, DeviceSlot.starts.label("slot_starts"), DeviceSlot.detail,
                want.digest.label("desired"),
            )
            .join(Device, Device.id == member.device_id)
            .outerjoin(DeviceSlot, and_(DeviceSlot.device_id == Device.id, DeviceSlot.slot == self._rollout.slot))
            .outerjoin(want, and_(want.device_id == Device.id, want.slot == self._rollout.slot))
            .where(member.rollout_id == self._rollout.id, member.state.in_(_FLYING))
        )  # fmt: skip
        if dirty is None:
            return list(self._session.execute(query))
        rows = {row.device_id: row for row in self._session.execute(query.where(member.until_ms <= self._now))}
        names = sorted(dirty)
        for start in range(0, len(names), BATCH):
            found = self._session.execute(query.where(Device.name.in_(names[start : start + BATCH])))
            rows |= {row.device_id: row for row in found}
        return list(rows.values())

    def _judge(self, dirty: set[str] | None) -> None:
        changed: list[tuple[Any, Member]] = []
        for row in self._rows(dirty):
            before = Member(DeviceState(row.state), row.attempts, row.sequence, row.until_ms, row.starts, row.said)
            digest = row.before.get("digest") if before.state == DeviceState.RETURNING else self._want.digest
            after = judge(before, self._seen(row), Health(digest, self._exit), self._plan, self._now)
            if after != before:
                changed.append((row, after))
        if not changed:
            return
        self._step.changed = True
        self._write([(row.device_id, after) for row, after in changed])
        ended = [(row, after) for row, after in changed if after.state in (DeviceState.FAILED, DeviceState.PENALISED)]
        if ended:
            self._failed(ended)
        if good := [row.device_id for row, after in changed if after.state == DeviceState.SUCCEEDED]:
            self._update_devices(good, failures=0, penalty_until_ms=0)

    def _seen(self, row: Any) -> Seen:
        return Seen(
            online=row.online,
            applied=row.applied,
            error=row.errors.get(str(self._rollout.slot), ""),
            state=row.slot_state or "empty",
            digest=row.digest,
            exit=row.exit,
            why=row.trap or row.error or (row.detail or {}).get("reason") or "",
            starts=row.slot_starts or 0,
            confirmed=(row.detail or {}).get("confirmed"),
            desired=row.desired,
        )

    def _failed(self, ended: Sequence[tuple[Any, Member]]) -> None:
        """Give devices that failed what they had before, and say so."""
        self._give({row.device_id: row.before for row, _ in ended})
        numbers = [row.device_id for row, _ in ended]
        for start in range(0, len(numbers), BATCH):
            part = Device.id.in_(numbers[start : start + BATCH])
            boxed = case(
                (Device.failures + 1 >= BOXED_AFTER, self._now + int(self._plan.penalty_s * 1000)),
                else_=Device.penalty_until_ms,
            )
            self._session.execute(
                update(Device).where(part).values(failures=Device.failures + 1, penalty_until_ms=boxed),
                execution_options={"synchronize_session": False},
            )
        journal.add_events(
            self._session,
            [
                journal.Entry(
                    "rollout.device",
                    f"rollout {self._rollout.id}: {row.name} {after.state.value}: {after.error}",
                    "error",
                    row.device_id,
                    self._rollout.id,
                    {"device": row.name, "state": after.state.value, "error": after.error},
                )
                for row, after in ended[:TELL_FAILURES]
            ],
        )

    def _give(self, before: dict[int, dict[str, Any]]) -> dict[int, int]:
        """Order what devices had before; gives the sequences."""
        self._step.ordered = True
        return set_slots(
            self._session,
            self._rollout.slot,
            {number: Want.of(table) if table else None for number, table in before.items()},
        )

    def _write(self, members: Sequence[tuple[int, Member]]) -> None:
        table = RolloutDevice.__table__
        statement = (
            update(table)  # type: ignore[arg-type]
            .where(table.c.rollout_id == self._rollout.id, table.c.device_id == bindparam("number"))
            .values(
                {name: bindparam(f"new_{name}") for name in ("state", "sequence", "until_ms", "starts", "error")}
                | {"changed_ms": self._now}
            )
        )
        self._session.execute(
            statement,
            [
                {
                    "number": number,
                    "new_state": member.state.value,
                    "new_sequence": member.sequence,
                    "new_until_ms": member.until_ms,
                    "new_starts": member.starts,
                    "new_error": member.error[:1000],
                }
                for number, member in members
            ],
        )

    def _update_devices(self, numbers: Sequence[int], **values: Any) -> None:
        for start in range(0, len(numbers), BATCH):
            self._session.execute(
                update(Device).where(Device.id.in_(numbers[start : start + BATCH])).values(**values),
                execution_options={"synchronize_session": False},
            )

    # Facts

    def _facts(self) -> Facts:
        rollout = self._rollout
        forgiven = rollout.forgiven
        return Facts(
            Phase(rollout.phase),
            rollout.stage,
            rollout.stage_ms,
            rollout.released,
            forgiven.get("bad", 0),
            forgiven.get("decided", 0),
            forgiven.get("stage", -1),
        )

    def _ready(self, state: DeviceState) -> Any:
        """Give the query of devices that may be released now."""
        other = aliased(RolloutDevice)
        busy = (
            select(other.device_id)
            .where(
                other.device_id == RolloutDevice.device_id,
                other.rollout_id != self._rollout.id,
                other.state.in_(_FLYING),
            )
            .correlate(RolloutDevice)
        )
        query = (
            select(RolloutDevice.device_id)
            .join(Device, Device.id == RolloutDevice.device_id)
            .where(
                RolloutDevice.rollout_id == self._rollout.id,
                RolloutDevice.state == state.value,
                Device.online,
                Device.status == "enrolled",
                Device.penalty_until_ms <= self._now,
                ~busy.exists(),
            )
        )
        return query.where(RolloutDevice.until_ms <= self._now) if state == DeviceState.PENALISED else query

    def _counts(self) -> Counts:
        rollout = self._rollout
        here, earlier = RolloutDevice.wave == rollout.stage, RolloutDevice.wave.between(0, rollout.stage - 1)
        where = case((here, 1), (earlier, 0), else_=-1)
        query = (
            select(RolloutDevice.state, where, func.count(), func.max(RolloutDevice.changed_ms))
            .where(RolloutDevice.rollout_id == rollout.id)
            .group_by(RolloutDevice.state, where)
        )
        many = dict.fromkeys((state.value for state in DeviceState), 0)
        names = ("before", "wave", "wave_flying", "wave_penalised", "wave_failed", "wave_succeeded", "changed_ms")
        extra = dict.fromkeys(names, 0)
        for state, place, count, changed in self._session.execute(query):
            many[state] += count
            if place == 0:
                extra["before"] += count
            elif place == 1:
                extra["wave"] += count
                extra["changed_ms"] = max(extra["changed_ms"], changed)
                kind = "flying" if state in _FLYING else state
                if f"wave_{kind}" in extra:
                    extra[f"wave_{kind}"] += count
        running = rollout.phase == Phase.RUNNING.value
        for state, name in ((DeviceState.WAITING, "ready"), (DeviceState.PENALISED, "due")):
            if running and many[state.value]:
                extra[name] = self._session.scalar(select(func.count()).select_from(self._ready(state).subquery())) or 0
        return Counts(**many, **extra)

    # Decisions

    def _carry_out(self, decision: Decision) -> None:
        rollout, step = self._rollout, self._step
        if decision.event is not None:
            move(self._session, rollout, decision.event, decision.reason, "system")
            step.changed = step.again = True
        if decision.skip_waiting:
            self._skip_waiting()
        if decision.retry:
            self._release(DeviceState.PENALISED, min(decision.retry, RELEASES))
        if decision.release:
            rollout.released += self._release(DeviceState.WAITING, min(decision.release, RELEASES))
        step.again = step.again or max(decision.release, decision.retry) > RELEASES
        if decision.next_stage:
            rollout.stage, rollout.stage_ms, rollout.released = rollout.stage + 1, self._now, 0
            text = f"rollout {rollout.id} ({rollout.name}): wave {rollout.stage + 1} of {len(self._plan.stages)}"
            counted = outcomes(self._session, rollout.id)
            journal.add_event(
                self._session, "rollout.wave", text, rollout_id=rollout.id, wave=rollout.stage, devices=counted
            )
            step.changed = step.again = True
        if decision.give_back:
            self._give_back(min(decision.give_back, RELEASES))

    def _skip_waiting(self) -> None:
        for state, following in (
            (DeviceState.WAITING, DeviceState.SKIPPED),
            (DeviceState.PENALISED, DeviceState.FAILED),
        ):
            self._session.execute(
                update(RolloutDevice)
                .where(RolloutDevice.rollout_id == self._rollout.id, RolloutDevice.state == state.value)
                .values(state=following.value, changed_ms=self._now),
                execution_options={"synchronize_session": False},
            )
        self._step.changed = True

    def _release(self, state: DeviceState, limit: int) -> int:
        """Release devices; gives how many."""
        numbers = list(self._session.scalars(self._ready(state).order_by(RolloutDevice.device_id).limit(limit)))
        if not numbers:
            return 0
        had = self._had(numbers) if state == DeviceState.WAITING else {}
        sequences = set_slots(self._session, self._rollout.slot, dict.fromkeys(numbers, self._want))
        table = RolloutDevice.__table__
        values: dict[str, Any] = {
            "state": DeviceState.UPDATING.value,
            "attempts": table.c.attempts + 1,
            "sequence": bindparam("new_sequence"),
            "released_ms": self._now,
            "changed_ms": self._now,
            "until_ms": self._now + int(self._plan.timeout_s * 1000),
            "error": "",
        }
        if state == DeviceState.WAITING:
            values |= {"before": bindparam("had", type_=table.c.before.type), "wave": self._rollout.stage}
        statement = (
            update(table)  # type: ignore[arg-type]
            .where(table.c.rollout_id == self._rollout.id, table.c.device_id == bindparam("number"))
            .values(values)
        )
        rows = [{"number": number, "new_sequence": sequences[number]} for number in numbers]
        if state == DeviceState.WAITING:
            rows = [row | {"had": had.get(row["number"], {})} for row in rows]
        self._session.execute(statement, rows)
        self._step.ordered = self._step.changed = True
        return len(numbers)

    def _had(self, numbers: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Give what the slot of devices should have run until now."""
        had: dict[int, dict[str, Any]] = {}
        for start in range(0, len(numbers), BATCH):
            query = select(DesiredSlot).where(
                DesiredSlot.device_id.in_(numbers[start : start + BATCH]), DesiredSlot.slot == self._rollout.slot
            )
            for row in self._session.scalars(query):
                had[row.device_id] = Want(row.digest, row.size, tuple(row.args), tuple(row.env), row.name).table()
        return had

    def _give_back(self, limit: int) -> None:
        """Turn devices round: those on their way first, then those that succeeded."""
        first = case((RolloutDevice.state == DeviceState.SUCCEEDED.value, 1), else_=0)
        kinds = (DeviceState.UPDATING.value, DeviceState.CHECKING.value, DeviceState.SUCCEEDED.value)
        query = (
            select(RolloutDevice.device_id, RolloutDevice.before)
            .where(RolloutDevice.rollout_id == self._rollout.id, RolloutDevice.state.in_(kinds))
            .order_by(first, RolloutDevice.device_id)
            .limit(limit)
        )
        before: dict[int, dict[str, Any]] = dict(self._session.execute(query).all())
        if not before:
            return
        sequences = self._give(before)
        until_ms = self._now + int(self._plan.timeout_s * 1000)
        self._write(
            [
                (number, Member(DeviceState.RETURNING, sequence=sequences[number], until_ms=until_ms))
                for number in before
            ]
        )
        self._step.changed = self._step.again = True
