# SPDX-License-Identifier: Apache-2.0
"""The rollout's pure functions, driven by random worlds: whatever devices and people do, the invariants hold."""

from __future__ import annotations

import dataclasses
import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet import machine
from fleet.errors import ConflictError, InvalidError
from fleet.machine import Counts, DeviceState, Event, Facts, Health, Member, Phase, Seen
from fleet.plan import Plan, Wave, Window

NEW, OLD = "b" * 64, "a" * 64
PEOPLE = (Event.PAUSE, Event.RESUME, Event.ABORT, Event.ROLL_BACK)

waves = st.lists(
    st.builds(Wave, count=st.integers(1, 5), bake_s=st.sampled_from([0.0, 3.0]))
    | st.builds(Wave, percent=st.sampled_from([10.0, 34.0, 50.0, 100.0]), per_minute=st.sampled_from([None, 6, 60])),
    min_size=1,
    max_size=3,
).map(tuple)
plans = st.builds(
    Plan,
    waves=waves,
    max_in_flight=st.integers(1, 6),
    success_percent=st.sampled_from([0.0, 50.0, 100.0]),
    error_percent=st.sampled_from([0.0, 10.0, 50.0, 100.0]),
    min_samples=st.integers(1, 5),
    on_error=st.sampled_from(["pause", "stop", "rollback"]),
    timeout_s=st.just(20.0),
    check_s=st.sampled_from([0.0, 5.0]),
    attempts=st.integers(1, 3),
    penalty_s=st.sampled_from([0.0, 10.0]),
    wait_offline=st.booleans(),
)


@dataclasses.dataclass
class Device:
    """A device of the world: what its agent would do, and what the rollout thinks of it."""

    kind: str
    member: Member = dataclasses.field(default_factory=lambda: Member(DeviceState.WAITING))
    seen: Seen = dataclasses.field(default_factory=lambda: Seen(True, state="running", digest=OLD, desired=OLD))
    sequence: int = 0
    wave: int = -1
    releases: int = 0
    changed_ms: int = 0


class World:
    """Does what the engine does, in memory, and checks the invariants at each step."""

    def __init__(self, plan, kinds):
        self.plan = plan
        self.devices = [Device(kind) for kind in kinds]
        self.facts = Facts(Phase.RUNNING)
        self.now_ms = 1_000_000
        self.facts = dataclasses.replace(self.facts, stage_ms=self.now_ms)
        self.closed = False
        """After abort or rollback."""

    def counts(self):
        many = {state.value: 0 for state in DeviceState}
        wave = [device for device in self.devices if device.wave == self.facts.stage]
        for device in self.devices:
            many[device.member.state.value] += 1
        waiting = [device for device in self.devices if device.member.state == DeviceState.WAITING]
        due = [
            device
            for device in self.devices
            if device.member.state == DeviceState.PENALISED
            and device.member.until_ms <= self.now_ms
            and device.seen.online
        ]
        return Counts(
            **many,
            ready=sum(device.seen.online for device in waiting),
            due=len(due),
            before=sum(0 <= device.wave < self.facts.stage for device in self.devices),
            wave=len(wave),
            wave_flying=sum(device.member.state in machine.FLYING for device in wave),
            wave_penalised=sum(device.member.state == DeviceState.PENALISED for device in wave),
            wave_failed=sum(device.member.state == DeviceState.FAILED for device in wave),
            wave_succeeded=sum(device.member.state == DeviceState.SUCCEEDED for device in wave),
            changed_ms=max((device.changed_ms for device in wave), default=0),
        )

    def order(self, device, digest):
        before = device.sequence
        device.sequence += 1
        assert device.sequence > before
        device.seen = dataclasses.replace(device.seen, desired=digest)

    def release(self, device):
        assert not self.closed, "released after the end"
        assert self.facts.phase == Phase.RUNNING
        self.order(device, NEW)
        device.releases += 1
        assert device.releases <= self.plan.attempts
        if device.wave < 0:
            device.wave = self.facts.stage
        until_ms = self.now_ms + int(self.plan.timeout_s * 1000)
        device.member = Member(DeviceState.UPDATING, device.member.attempts + 1, device.sequence, until_ms)
        device.changed_ms = self.now_ms

    def give_back(self, device, state):
        self.order(device, OLD)
        until_ms = self.now_ms + int(self.plan.timeout_s * 1000)
        device.member = dataclasses.replace(device.member, state=state, sequence=device.sequence, until_ms=until_ms)

    def step(self):
        for device in self.devices:
            back = device.member.state == DeviceState.RETURNING
            judged = machine.judge(device.member, device.seen, Health(OLD if back else NEW), self.plan, self.now_ms)
            assert machine.judge(judged, device.seen, Health(OLD if back else NEW), self.plan, self.now_ms) == judged
            if judged != device.member:
                device.member, device.changed_ms = judged, self.now_ms
                if judged.state in (DeviceState.FAILED, DeviceState.PENALISED):
                    self.order(device, OLD)
        decision = machine.decide(self.facts, self.counts(), self.plan, self.now_ms)
        self.carry_out(decision)
        self.check()
        return decision

    def carry_out(self, decision):
        if decision.event is not None:
            self.move(decision.event)
        if decision.skip_waiting:
            for device in self.devices:
                if device.member.state == DeviceState.WAITING:
                    device.member = dataclasses.replace(device.member, state=DeviceState.SKIPPED)
                elif device.member.state == DeviceState.PENALISED:
                    device.member = dataclasses.replace(device.member, state=DeviceState.FAILED)
        due = [
            device
            for device in self.devices
            if device.member.state == DeviceState.PENALISED and device.member.until_ms <= self.now_ms
        ]
        for device in [device for device in due if device.seen.online][: decision.retry]:
            self.release(device)
        ready = [d for d in self.devices if d.member.state == DeviceState.WAITING and d.seen.online]
        assert decision.release <= len(ready)
        for device in ready[: decision.release]:
            self.release(device)
        self.facts = dataclasses.replace(self.facts, released=self.facts.released + decision.release)
        if decision.next_stage:
            self.facts = dataclasses.replace(self.facts, stage=self.facts.stage + 1, stage_ms=self.now_ms, released=0)
            assert self.facts.stage < len(self.plan.stages)
        flying = (DeviceState.UPDATING, DeviceState.CHECKING)
        back = [device for device in self.devices if device.member.state in flying]
        back += [device for device in self.devices if device.member.state == DeviceState.SUCCEEDED]
        for device in back[: decision.give_back]:
            self.give_back(device, DeviceState.RETURNING)

    def move(self, event):
        self.facts = dataclasses.replace(self.facts, phase=machine.advance(self.facts.phase, event))
        if event in (Event.ABORT, Event.ROLL_BACK):
            self.closed = True
        if event == Event.RESUME:
            counts = self.counts()
            self.facts = dataclasses.replace(
                self.facts,
                forgiven_bad=counts.bad,
                forgiven_decided=counts.decided,
                forgiven_stage=self.facts.stage,
            )

    def check(self):
        flying = [device for device in self.devices if device.member.state in machine.FLYING]
        assert len(flying) <= self.plan.max_in_flight
        counts = self.counts()
        assert counts.total + counts.skipped == len(self.devices)
        reached = sum(device.wave >= 0 for device in self.devices)
        limit = self.plan.stages[self.facts.stage].target(len(self.devices), counts.before)
        assert reached <= max(limit, counts.before)
        for device in self.devices:
            assert device.wave <= self.facts.stage
            assert device.member.attempts == device.releases <= self.plan.attempts

    def act(self, device):
        """The device does what its kind does with its order."""
        seen = device.seen
        if not seen.online or seen.applied == device.sequence:
            return
        starts = seen.starts + 1
        seen = dataclasses.replace(seen, applied=device.sequence, digest=seen.desired, starts=starts, state="running")
        if seen.desired == NEW:
            if device.kind == "traps":
                seen = dataclasses.replace(seen, state="trapped", why="unreachable")
            elif device.kind == "exits":
                seen = dataclasses.replace(seen, state="exited", exit=0)
            elif device.kind == "fails":
                seen = dataclasses.replace(seen, error="no space", digest=OLD)
            elif device.kind == "returns":
                seen = dataclasses.replace(seen, digest=OLD)
            elif device.kind == "silent":
                return
        device.seen = seen


kinds = st.sampled_from(["good", "good", "good", "exits", "traps", "fails", "returns", "silent"])


@settings(max_examples=300)
@given(plans, st.lists(kinds, min_size=1, max_size=12), st.data())
def test_whatever_happens_the_invariants_hold(plan, devices, data):
    world = World(plan, devices)
    for _ in range(data.draw(st.integers(1, 60))):
        what = data.draw(st.sampled_from(["act", "act", "act", "time", "online", "person", "later"]))
        device = world.devices[data.draw(st.integers(0, len(devices) - 1))]
        if what == "act":
            world.act(device)
        elif what == "time":
            world.now_ms += data.draw(st.sampled_from([100, 5_000, 30_000]))
        elif what == "online":
            device.seen = dataclasses.replace(device.seen, online=not device.seen.online)
        elif what == "later" and device.member.state == DeviceState.CHECKING:
            device.seen = dataclasses.replace(device.seen, state="trapped", starts=device.seen.starts)
        elif what == "person":
            event = data.draw(st.sampled_from(PEOPLE))
            try:
                world.move(event)
            except ConflictError:
                assert (world.facts.phase, event) not in machine.TRANSITIONS
        world.step()


@settings(max_examples=150)
@given(plans, st.lists(kinds, min_size=1, max_size=12))
def test_every_rollout_comes_to_an_end(plan, devices):
    world = World(plan, devices)
    for _ in range(3000):
        for device in world.devices:
            world.act(device)
        world.now_ms += 5_000
        world.step()
        if world.facts.phase == Phase.PAUSED:
            world.move(Event.RESUME)
        if world.facts.phase in machine.OVER and not any(d.member.state in machine.FLYING for d in world.devices):
            break
    assert world.facts.phase in machine.OVER
    world.step()
    left = {device.member.state for device in world.devices}
    if world.facts.phase == Phase.COMPLETED:
        assert left <= {DeviceState.SUCCEEDED, DeviceState.FAILED}
        good = [device for device in world.devices if device.kind in ("good", "exits")]
        assert all(device.member.state == DeviceState.SUCCEEDED for device in good)
    if world.facts.phase == Phase.RETURNED:
        assert not left & {DeviceState.SUCCEEDED, DeviceState.UPDATING, DeviceState.CHECKING, DeviceState.RETURNING}
    assert all(device.seen.desired == OLD for device in world.devices if device.member.state == DeviceState.FAILED)


@pytest.mark.parametrize("on_error", ["pause", "stop", "rollback"])
def test_a_bad_module_stops_at_the_canary(on_error):
    world = World(Plan(waves=(Wave(count=1), Wave(percent=100)), on_error=on_error, min_samples=10), ["traps"] * 20)
    for _ in range(50):
        for device in world.devices:
            world.act(device)
        world.now_ms += 1000
        world.step()
    assert sum(device.releases for device in world.devices) == 1
    expected = {"pause": Phase.PAUSED, "stop": Phase.STOPPED, "rollback": Phase.RETURNED}
    assert world.facts.phase == expected[on_error]


def test_a_rate_is_kept():
    world = World(Plan(waves=(Wave(percent=100, per_minute=6),), check_s=0), ["good"] * 12)
    released = []
    for second in range(120):
        for device in world.devices:
            world.act(device)
        world.step()
        released.append(sum(device.releases for device in world.devices))
        assert released[-1] <= 1 + second * 6 // 60
        world.now_ms += 1000
    assert released[-1] == 12


def test_outside_the_windows_nobody_is_released():
    plan = Plan(waves=(Wave(percent=100),), windows=(Window(("sat",), "22:00", "04:00"),))
    saturday = 1_700_000_000 // 86400 * 86400 * 1000
    while not plan.windows[0].open(machine_time(saturday + 22 * 3_600_000)):
        saturday += 86_400_000
    for hours, is_open in ((21.9, False), (22, True), (27.9, True), (28.1, False), (46, False)):
        now_ms = saturday + int(hours * 3_600_000)
        decision = machine.decide(Facts(Phase.RUNNING), Counts(waiting=5, ready=5), plan, now_ms)
        assert (decision.release == 5) is is_open, hours


def machine_time(at_ms):
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)


def test_the_table_names_every_phase_and_refuses_the_rest():
    for phase in Phase:
        for event in Event:
            if (phase, event) in machine.TRANSITIONS:
                assert machine.advance(phase, event) == machine.TRANSITIONS[phase, event]
            else:
                with pytest.raises(ConflictError, match="not possible"):
                    machine.advance(phase, event)
    assert {phase for phase, _ in machine.TRANSITIONS} | machine.OVER == set(Phase)


@given(plans)
def test_a_plan_is_read_back(plan):
    assert Plan.parse(plan.table()) == plan


@pytest.mark.parametrize(
    "table",
    [
        [],
        {"waves": []},
        {"waves": [{"count": 0}]},
        {"waves": [{"count": 1, "percent": 1}]},
        {"waves": [{}]},
        {"waves": [{"percent": 101}]},
        {"waves": [{"count": 1, "x": 1}]},
        {"max_in_flight": 0},
        {"max_in_flight": True},
        {"error_percent": -1},
        {"error_percent": "5"},
        {"on_error": "panic"},
        {"twin": "no"},
        {"typo": 1},
        {"windows": [{"days": ["someday"]}]},
        {"windows": [{"from": "25:00"}]},
        {"windows": [{"from": "10:00", "to": "10:00"}]},
        {"timeout_s": float("nan")},
    ],
)
def test_a_bad_plan_is_refused(table):
    with pytest.raises(InvalidError, match="plan"):
        Plan.parse(table)
