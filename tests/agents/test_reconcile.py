# SPDX-License-Identifier: Apache-2.0
"""The plan leads any device to any desired state, then is empty; over any number of crashes a start happens once."""

from __future__ import annotations

import dataclasses
import random

from hypothesis import given
from hypothesis import strategies as st

from agent.messages import Desired, DesiredSlot
from agent.reconcile import Activate, Fail, Halt, Observed, ObservedSlot, Pull, Push, Record, Start, Stop, plan

DIGESTS = [bytes([n]) * 32 for n in range(3)]
wants = st.builds(
    DesiredSlot, st.sampled_from(DIGESTS), st.just(100), st.sampled_from([(), ("a",)]), st.sampled_from([(), ("K=V",)])
)
desires = st.builds(Desired, st.just(1), st.dictionaries(st.integers(0, 2), wants, max_size=3))
slot_states = st.builds(
    ObservedSlot,
    st.none() | st.sampled_from(DIGESTS),
    st.booleans(),
    st.integers(0, 5),
    st.none() | st.sampled_from(DIGESTS),
    st.booleans(),
).map(lambda slot: dataclasses.replace(slot, pending=slot.pending and slot.candidate is not None))
record_maps = st.dictionaries(
    st.integers(0, 1),
    st.builds(Record, st.sampled_from(DIGESTS), st.just(DesiredSlot(DIGESTS[0], 1).config()), st.integers(0, 5)),
)


class World:
    """A device, the agent's disk and its cache, changed step by step as the daemon does."""

    def __init__(self, slots, records, cached):
        self.slots = list(slots)
        self.records = dict(records)
        self.cached = set(cached)
        self.started = []
        self.kill_in = None

    def observed(self):
        return Observed(tuple(self.slots), 1000)

    def tick(self):
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in < 0:
                raise KeyboardInterrupt

    def do(self, step):
        self.tick()
        match step:
            case Pull(_, digest, _):
                self.cached.add(digest)
            case Push(slot, digest):
                assert digest in self.cached
                self.slots[slot] = dataclasses.replace(self.slots[slot], candidate=digest, pending=False)
            case Activate(slot, digest):
                assert self.slots[slot].candidate == digest
                self.slots[slot] = dataclasses.replace(self.slots[slot], pending=True)
            case Halt(slot):
                self.slots[slot] = dataclasses.replace(self.slots[slot], running=False)
            case Start(slot, record):
                self.records[slot] = record
                self.tick()
                now = self.slots[slot]
                assert now.pending or not now.running  # or the device says busy
                digest = now.candidate if now.pending else now.digest
                assert digest == record.digest
                self.slots[slot] = ObservedSlot(
                    digest, True, now.starts + 1, now.digest if now.pending else now.candidate, pending=False
                )
                self.started.append((slot, digest, record.config))
                self.tick()
            case Stop(slot):
                self.slots[slot] = dataclasses.replace(self.slots[slot], running=False)
                self.tick()
                del self.records[slot]

    def converge(self, desired):
        for _ in range(3):
            todo = plan(desired, self.observed(), self.records, self.cached)
            if not any(not isinstance(step, Fail) for steps in todo.values() for step in steps):
                return todo
            for steps in todo.values():
                for step in steps:
                    self.do(step)
        raise AssertionError("no end")


@given(desires, st.lists(slot_states, min_size=2, max_size=2), record_maps, st.sets(st.sampled_from(DIGESTS)))
def test_one_pass_reaches_the_desired_state(desired, slots, records, cached):
    world = World(slots, records, cached)
    left = world.converge(desired)
    assert set(left) == {slot for slot in desired.slots if slot >= 2}
    for slot, want in desired.slots.items():
        if slot < 2:
            assert world.slots[slot].digest == want.digest
            assert world.records[slot].config == want.config()
    assert len(world.started) == len({slot for slot, _, _ in world.started})
    for slot in set(records) - set(desired.slots):
        assert slot not in world.records


@given(
    desires,
    st.lists(slot_states, min_size=2, max_size=2),
    st.sets(st.sampled_from(DIGESTS)),
    st.lists(st.integers(0, 8), max_size=6),
)
def test_killed_anywhere_it_still_starts_once(desired, slots, cached, kills):
    world = World(slots, {}, cached)
    for kill in kills:
        world.kill_in = kill
        try:
            world.converge(desired)
        except KeyboardInterrupt:
            continue
    world.kill_in = None
    world.converge(desired)
    assert sorted(slot for slot, _, _ in world.started) == sorted(slot for slot in desired.slots if slot < 2)


@given(desires, st.integers(0, 1000))
def test_a_device_that_forgets_is_served_again(desired, seed):
    world = World([ObservedSlot(None, False, 0)] * 2, {}, ())
    world.converge(desired)
    first = list(world.started)
    world.slots = [ObservedSlot(None, False, 0)] * 2
    random.Random(seed).shuffle(world.slots)
    world.started.clear()
    world.converge(desired)
    assert sorted(world.started) == sorted(first)


def test_configuration_alone_starts_again_without_a_push():
    old, new = DesiredSlot(DIGESTS[0], 100), DesiredSlot(DIGESTS[0], 100, ("x",))
    slot = ObservedSlot(DIGESTS[0], True, 4)
    steps = plan(Desired(2, {0: new}), Observed((slot,), 1000), {0: Record(DIGESTS[0], old.config(), 3)}, set())
    assert steps == {
        0: (
            Halt(0),
            Start(0, Record(DIGESTS[0], new.config(), 4)),
        )
    }


def test_what_cannot_be_is_said():
    big = DesiredSlot(DIGESTS[0], 2000)
    steps = plan(Desired(1, {0: big, 7: big}), Observed((ObservedSlot(None, False, 0),), 1000), {}, set())
    assert "2000 bytes" in steps[0][0].reason
    assert "no slot 7" in steps[7][0].reason


def test_a_module_that_the_device_went_back_from_is_not_pushed_again():
    want = DesiredSlot(DIGESTS[0], 100)
    record = Record(want.digest, want.config(), 0)
    slot = ObservedSlot(DIGESTS[1], True, 2, candidate=DIGESTS[0], failed=DIGESTS[0], failure="its time was over")
    observed = Observed((slot,), 1000)
    (step,) = plan(Desired(1, {0: want}), observed, {0: record}, {want.digest})[0]
    assert step == Fail(0, "the device went back to the former module: its time was over")
    other = dataclasses.replace(want, args=("another try",))
    steps = plan(Desired(2, {0: other}), observed, {0: record}, {want.digest})[0]
    assert [type(step) for step in steps] == [Activate, Start]
    assert [type(step) for step in plan(Desired(1, {0: want}), observed, {}, set())[0]] == [Activate, Start]
