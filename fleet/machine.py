# SPDX-License-Identifier: Apache-2.0
"""What a rollout does next: pure functions. Times and counts are handed in, decisions come out; no I/O, no clock.

Theory. A rollout has a *phase*; the table TRANSITIONS says which event leads where, and whatever is not in it is
refused. A device has one *state* in a rollout at any time, so it is counted once. The engine (fleet.engine) calls, over
and over: `judge` for devices that are on their way and reported something or ran out of time; `decide` with the counts
that result. Both may be called any number of times with the same facts: nothing happens twice, because what was done is
in the facts.

    draft -> gate -> approval -> running <-> paused
    running -> completed
    running, paused -> stopped (nobody new; those on their way are seen to their end)
    running, paused, stopped, completed -> returning -> returned
    gate, approval -> refused

    waiting -> updating -> checking -> succeeded
    updating, checking -> penalised (gets back what it had; later: updating again) or failed (gets back what it had)
    succeeded, updating, checking -> returning -> returned or stuck         (the rollout is taken back)
    waiting -> skipped                                                      (nobody new; or another order came between)

Invariants (tests/server/test_machine.py):
- never more devices in updating, checking and returning than `max_in_flight`;
- after abort, rollback, and while paused or outside the windows, nobody is released;
- each device is in one state, and is released at most `attempts` times;
- a wave begins only when the one before is over and enough of it succeeded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from fleet.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.plan import Plan

__all__ = [
    "FLYING",
    "OVER",
    "TRANSITIONS",
    "Counts",
    "Decision",
    "DeviceState",
    "Event",
    "Facts",
    "Health",
    "Member",
    "Phase",
    "Seen",
    "advance",
    "decide",
    "judge",
    "stage_limit",
]


class Phase(StrEnum):
    """Of a rollout."""

    DRAFT = "draft"
    GATE = "gate"
    """The twin runs it."""
    APPROVAL = "approval"
    """Another person has to agree."""
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    RETURNING = "returning"
    """Devices get back what they had."""
    RETURNED = "returned"
    COMPLETED = "completed"
    REFUSED = "refused"


class Event(StrEnum):
    """What moves a rollout."""

    START = "start"
    GATE_PASSED = "gate passed"
    GATE_FAILED = "gate failed"
    APPROVE = "approve"
    REJECT = "reject"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLL_BACK = "roll back"
    FINISH = "finish"


TRANSITIONS: Mapping[tuple[Phase, Event], Phase] = {
    (Phase.DRAFT, Event.START): Phase.GATE,
    (Phase.GATE, Event.GATE_PASSED): Phase.APPROVAL,
    (Phase.GATE, Event.GATE_FAILED): Phase.REFUSED,
    (Phase.GATE, Event.ABORT): Phase.REFUSED,
    (Phase.APPROVAL, Event.APPROVE): Phase.RUNNING,
    (Phase.APPROVAL, Event.REJECT): Phase.REFUSED,
    (Phase.APPROVAL, Event.ABORT): Phase.REFUSED,
    (Phase.DRAFT, Event.ABORT): Phase.REFUSED,
    (Phase.RUNNING, Event.PAUSE): Phase.PAUSED,
    (Phase.RUNNING, Event.ABORT): Phase.STOPPED,
    (Phase.RUNNING, Event.ROLL_BACK): Phase.RETURNING,
    (Phase.RUNNING, Event.FINISH): Phase.COMPLETED,
    (Phase.PAUSED, Event.RESUME): Phase.RUNNING,
    (Phase.PAUSED, Event.ABORT): Phase.STOPPED,
    (Phase.PAUSED, Event.ROLL_BACK): Phase.RETURNING,
    (Phase.STOPPED, Event.ROLL_BACK): Phase.RETURNING,
    (Phase.COMPLETED, Event.ROLL_BACK): Phase.RETURNING,
    (Phase.RETURNING, Event.FINISH): Phase.RETURNED,
}

OVER = frozenset({Phase.STOPPED, Phase.RETURNED, Phase.COMPLETED, Phase.REFUSED})
"""Phases in which a rollout does nothing by itself any more."""


def advance(phase: Phase, event: Event) -> Phase:
    """Give the next phase. ConflictError: not from here."""
    following = TRANSITIONS.get((phase, event))
    if following is None:
        possible = ", ".join(other.value for start, other in TRANSITIONS if start == phase) or "nothing"
        raise ConflictError(f"the rollout is {phase.value}: {event.value} is not possible (possible: {possible})")
    return following


class DeviceState(StrEnum):
    """Of a device in a rollout."""

    WAITING = "waiting"
    UPDATING = "updating"
    CHECKING = "checking"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENALISED = "penalised"
    RETURNING = "returning"
    RETURNED = "returned"
    STUCK = "stuck"
    """It did not get back what it had."""
    SKIPPED = "skipped"


FLYING = frozenset({DeviceState.UPDATING, DeviceState.CHECKING, DeviceState.RETURNING})
"""On its way: what max_in_flight bounds."""


@dataclass(frozen=True)
class Member:
    """A device's part in a rollout."""

    state: DeviceState
    attempts: int = 0
    sequence: int = 0
    """Of the desired state that the rollout gave it last."""
    until_ms: int = 0
    """Deadline of updating and returning, end of checking, end of the penalty."""
    starts: int = 0
    """The device's counter when checking began."""
    error: str = ""


@dataclass(frozen=True)
class Seen:
    """What is known of a device and the slot."""

    online: bool = False
    applied: int = 0
    """Sequence that it carried out last."""
    error: str = ""
    """The agent's, for the slot."""
    state: str = "empty"
    digest: str | None = None
    exit: int | None = None
    why: str = ""
    """Trap or refusal."""
    starts: int = 0
    confirmed: bool | None = None
    """By the device's own health probe; None: it has none."""
    desired: str | None = None
    """Digest that the slot should have by the newest order, whoever gave it."""


@dataclass(frozen=True)
class Health:
    """When a device is well: what the rollout wants, and the manifest's probe."""

    digest: str | None
    """None: the slot should be empty (a rollout that is taken back)."""
    exit: int | None = None
    """The probe is this exit code."""


def judge(member: Member, seen: Seen, health: Health, plan: Plan, now_ms: int) -> Member:  # noqa: PLR0911 - one end for each case
    """Give a device's part as it is now; the same one if nothing changed."""
    if member.state not in FLYING:
        return member
    if seen.desired != health.digest:
        return replace(member, state=DeviceState.SKIPPED, error="another order came between")
    if member.state == DeviceState.RETURNING:
        return _judge_return(member, seen, health, now_ms)
    error = _trouble(member, seen, health)
    if error:
        return _fail(member, error, plan, now_ms)
    if seen.applied < member.sequence:
        if now_ms >= member.until_ms:
            return _fail(member, f"no answer within {plan.timeout_s:g} s", plan, now_ms)
        return member
    if seen.state == "exited":
        return replace(member, state=DeviceState.SUCCEEDED, error="")
    if member.state == DeviceState.UPDATING:
        checked = replace(member, state=DeviceState.CHECKING, starts=seen.starts, until_ms=now_ms + _ms(plan.check_s))
        return _judge_check(checked, seen, plan, now_ms)
    return _judge_check(member, seen, plan, now_ms)


def _judge_check(member: Member, seen: Seen, plan: Plan, now_ms: int) -> Member:
    if now_ms < member.until_ms:
        return member
    if seen.online and seen.confirmed is not False:
        return replace(member, state=DeviceState.SUCCEEDED, error="")
    if now_ms >= member.until_ms + _ms(plan.timeout_s):
        missing = "its health probe did not confirm it" if seen.online else "it went offline"
        return _fail(member, f"{missing} within {plan.check_s + plan.timeout_s:g} s", plan, now_ms)
    return member


def _trouble(member: Member, seen: Seen, health: Health) -> str:  # noqa: PLR0911 - one end for each case
    """Say what is wrong with a device that carried its order out; "" if nothing is, or not yet known."""
    if seen.applied < member.sequence:
        return ""
    if seen.error:
        return seen.error
    if seen.digest != health.digest:
        return f"has {seen.digest[:12] if seen.digest else 'no module'} instead: it went back by itself"
    if seen.state in ("trapped", "refused", "stopped", "empty"):
        return f"{seen.state}{f': {seen.why}' if seen.why else ''}"
    if seen.state == "exited" and (seen.exit or 0) != (health.exit or 0):
        return f"exit code {seen.exit}"
    if member.state == DeviceState.CHECKING and seen.starts > member.starts:
        return "was started again while it was checked"
    return ""


def _fail(member: Member, error: str, plan: Plan, now_ms: int) -> Member:
    if member.attempts >= plan.attempts:
        return replace(member, state=DeviceState.FAILED, error=error)
    wait_ms = _ms(plan.penalty_s) << min(member.attempts - 1, 16)
    return replace(member, state=DeviceState.PENALISED, error=error, until_ms=now_ms + wait_ms)


def _judge_return(member: Member, seen: Seen, health: Health, now_ms: int) -> Member:
    if seen.applied >= member.sequence and not seen.error:
        gone = health.digest is None and seen.state != "running"
        if gone or (health.digest is not None and seen.digest == health.digest):
            return replace(member, state=DeviceState.RETURNED)
    if now_ms >= member.until_ms:
        return replace(member, state=DeviceState.STUCK, error=seen.error or "did not get back what it had in time")
    return member


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


@dataclass(frozen=True)
class Counts:
    """Devices of a rollout by state, and of the wave that runs."""

    waiting: int = 0
    ready: int = 0
    """Of those that wait: online, not in a penalty box, not busy in another rollout."""
    updating: int = 0
    checking: int = 0
    succeeded: int = 0
    failed: int = 0
    penalised: int = 0
    due: int = 0
    """Penalised, online, and their time is over."""
    returning: int = 0
    returned: int = 0
    stuck: int = 0
    skipped: int = 0
    before: int = 0
    """Devices that were released in earlier waves."""
    wave: int = 0
    """Devices that were released first in this wave."""
    wave_flying: int = 0
    wave_penalised: int = 0
    wave_failed: int = 0
    wave_succeeded: int = 0
    changed_ms: int = 0
    """When a device of this wave changed last."""

    @property
    def flying(self) -> int:
        """On their way."""
        return self.updating + self.checking + self.returning

    @property
    def total(self) -> int:
        """All but those that are skipped."""
        others = self.waiting + self.succeeded + self.failed + self.penalised + self.returned + self.stuck
        return others + self.flying

    @property
    def bad(self) -> int:
        """Failed, or waiting in the penalty box."""
        return self.failed + self.penalised

    @property
    def decided(self) -> int:
        """Came to an end, good or bad (a later attempt may change it)."""
        return self.bad + self.succeeded


@dataclass(frozen=True)
class Facts:
    """A rollout as it stands."""

    phase: Phase
    stage: int = 0
    stage_ms: int = 0
    """When the wave began."""
    released: int = 0
    """Devices released in this wave, for its rate."""
    forgiven_bad: int = 0
    """Failures that a person has seen and gone on."""
    forgiven_decided: int = 0
    forgiven_stage: int = -1
    """Wave whose success nobody asks for any more."""


@dataclass(frozen=True)
class Decision:
    """What to do now."""

    event: Event | None = None
    reason: str = ""
    release: int = 0
    """Devices to release from `ready`, into the wave that runs."""
    retry: int = 0
    """Penalised devices whose time is over, to be released again."""
    next_stage: bool = False
    give_back: int = 0
    """Devices to give back what they had (rollout returning)."""
    skip_waiting: bool = False
    """Those that wait or are penalised will not be released any more."""


def stage_limit(facts: Facts, counts: Counts, plan: Plan, now_ms: int) -> int:
    """Give how many devices may be released in this wave now, but for what is in flight."""
    wave = plan.stages[facts.stage]
    left = wave.target(counts.total, counts.before) - counts.before - counts.wave
    if wave.per_minute is not None:
        allowed = 1 + (now_ms - facts.stage_ms) * wave.per_minute // 60_000
        left = min(left, allowed - facts.released)
    return max(0, left)


def decide(facts: Facts, counts: Counts, plan: Plan, now_ms: int) -> Decision:  # noqa: PLR0911 - one end for each case
    """Say what to do now."""
    if facts.phase == Phase.RETURNING:
        return _decide_return(counts, plan)
    if facts.phase in (Phase.STOPPED, Phase.COMPLETED):
        return Decision(skip_waiting=bool(counts.waiting + counts.penalised))
    if facts.phase != Phase.RUNNING:
        return Decision()
    if trouble := _too_many_errors(facts, counts, plan):
        return _on_error(plan, trouble)
    if not plan.open(now_ms):
        return Decision()
    room = plan.max_in_flight - counts.flying
    retry = max(0, min(counts.due, room))
    release = min(stage_limit(facts, counts, plan, now_ms), counts.ready, room - retry)
    if release > 0 or retry > 0:
        return Decision(release=max(0, release), retry=retry)
    return _decide_stage(facts, counts, plan, now_ms)


def _too_many_errors(facts: Facts, counts: Counts, plan: Plan) -> str:
    bad, decided = counts.bad - facts.forgiven_bad, counts.decided - facts.forgiven_decided
    if bad > 0 and decided >= plan.min_samples and 100 * bad > plan.error_percent * decided:
        return f"{bad} of {decided} devices failed, more than {plan.error_percent:g} %"
    return ""


def _on_error(plan: Plan, reason: str) -> Decision:
    events = {"pause": Event.PAUSE, "stop": Event.ABORT, "rollback": Event.ROLL_BACK}
    return Decision(event=events[plan.on_error], reason=reason)


def _decide_stage(facts: Facts, counts: Counts, plan: Plan, now_ms: int) -> Decision:
    """Go to the next wave, or finish, when this one is over."""
    stages = plan.stages
    reached = counts.before + counts.wave
    full = reached >= stages[facts.stage].target(counts.total, counts.before)
    last = facts.stage + 1 == len(stages)
    nobody_left = counts.waiting == 0 or (not plan.wait_offline and counts.ready == 0)
    if counts.wave_flying or counts.wave_penalised or not (full or nobody_left):
        return Decision()
    if now_ms - counts.changed_ms < _ms(stages[facts.stage].bake_s):
        return Decision()
    ended = counts.wave_succeeded + counts.wave_failed
    good = 100 * counts.wave_succeeded >= plan.success_percent * ended
    if not good and facts.stage > facts.forgiven_stage:
        text = f"wave {facts.stage + 1}: {counts.wave_succeeded} of {ended} devices succeeded"
        return _on_error(plan, f"{text}, {plan.success_percent:g} % are needed")
    if not last:
        return Decision(next_stage=True)
    if nobody_left and not counts.penalised and not counts.flying:
        return Decision(event=Event.FINISH, reason=f"{counts.succeeded} of {counts.total} devices succeeded")
    return Decision()


def _decide_return(counts: Counts, plan: Plan) -> Decision:
    skip = bool(counts.waiting + counts.penalised)
    left = counts.succeeded + counts.updating + counts.checking
    if left:
        # Those that are on their way already take up no further place when they are turned round.
        room = plan.max_in_flight - counts.flying
        return Decision(give_back=max(0, room) + counts.updating + counts.checking, skip_waiting=skip)
    if counts.returning or skip:
        return Decision(skip_waiting=skip)
    stuck = f", {counts.stuck} did not" if counts.stuck else ""
    return Decision(event=Event.FINISH, reason=f"{counts.returned} devices got back what they had{stuck}")
