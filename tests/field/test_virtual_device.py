# SPDX-License-Identifier: Apache-2.0
"""Virtual devices without a broker: a small server and every fault there is, in virtual time, thousands of messages.

The server is docs/MQTT.md's other side in thirty lines: a retained desired state, chunks for gets.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.keys import generate_key
from agent.manifest import Health, Manifest
from agent.messages import Ack, Chunk, Command, Desired, DesiredSlot, Get, LogLine, Metrics, State, slice_module
from agent.pull import CHUNK_SIZE
from agent.signing import sign_module
from fleet.virtual_device import Traits, VirtualDevice
from fleet.virtual_module import ModuleStore, ScriptError, VirtualModule, parse_script, with_script

EMPTY = b"\0asm\1\0\0\0"
KEY = generate_key()


def made(*lines, size=0, health=None, sequence=1):
    """A signed module with a script."""
    module = with_script(EMPTY + bytes([0, 9 + 2, 7]) + b"padding" + bytes(3), *lines)
    if size:
        padding = random.Random(size).randbytes(size)
        body = b"\x03pad" + padding
        length = len(body)
        module += b"\0" + bytes([length >> s & 127 | 128 for s in (0, 7, 14, 21)] + [length >> 28]) + body
    return sign_module(module, Manifest("app", f"1.{sequence}.0", sequence, health=health), KEY)


class World:
    """One device, a server, and virtual time."""

    def __init__(self, seed=0, traits=None, faults=0.0):
        self.chance = random.Random(seed)
        self.device = VirtualDevice("dev1", ModuleStore(), traits or Traits(), seed)
        self.faults = faults
        self.now_s = 100.0
        self.queue = []
        self.order = itertools.count()
        self.modules = {}
        self.retained = b""
        self.states, self.logs, self.acks, self.gets = [], [], [], []
        self.up = False

    def desire(self, sequence, **slots):
        for module in slots.values():
            self.modules[hashlib.sha256(module).digest()] = module
        wants = {
            int(n[1:]): DesiredSlot(hashlib.sha256(m).digest(), len(m), ("a",), ("K=V",), "app")
            for n, m in slots.items()
        }
        self.retained = Desired(sequence, wants).encode()
        if self.up:
            self.send("desired", self.retained)

    def send(self, leaf, body, sure=False):
        if self.chance.random() < self.faults and not sure and leaf == "chunk":
            return
        for _ in range(2 if self.chance.random() < self.faults else 1):
            late = self.chance.random() * 3 if self.chance.random() < self.faults else 0.0
            heapq.heappush(self.queue, (self.now_s + 0.001 + late, next(self.order), leaf, body))

    def connect(self):
        self.up = True
        self.device.connected(self.now_s)
        if self.retained:
            self.send("desired", self.retained)

    def drop(self):
        self.up = False
        self.queue.clear()
        self.device.disconnected()

    def pump(self):
        out, self.device.outbox = self.device.outbox, []
        for message in out:
            match message.leaf:
                case "state":
                    assert (message.qos, message.retain) == (1, True)
                    self.states.append(State.parse(message.body))
                    heapq.heappush(self.queue, (self.now_s + 0.002, next(self.order), "ack of state", b""))
                case "get":
                    self.gets.append(Get.parse(message.body))
                    if self.chance.random() >= self.faults:
                        module = self.modules.get(self.gets[-1].digest, b"")
                        for chunk in slice_module(module, self.gets[-1].digest, self.gets[-1]):
                            self.send("chunk", chunk.encode())
                case "log":
                    self.logs.append(LogLine.parse(message.body))
                case "ack":
                    self.acks.append(Ack.parse(message.body))
                case "met":
                    Metrics.parse(message.body)

    def run(self, seconds, until=None):
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            if until is not None and until():
                return True
            self.pump()
            next_s = min(self.device.next_s, self.queue[0][0] if self.queue else end_s, end_s)
            assert next_s >= self.now_s - 10  # what is due is done
            self.now_s = max(self.now_s, next_s)
            if self.queue and self.queue[0][0] <= self.now_s:
                _, _, leaf, body = heapq.heappop(self.queue)
                if leaf == "ack of state":
                    self.device.acknowledged()
                    self.device.wake(self.now_s)
                else:
                    self.device.message(leaf, body, self.now_s)
            else:
                self.device.wake(self.now_s)
        self.pump()
        return until is None or until()


def last(world, slot=0):
    return world.states[-1].slots[slot]


def test_a_module_is_pulled_pushed_started_and_reported():
    world = World()
    world.connect()
    module = made("print hello $1 $K", "exit 7", size=50_000)
    world.desire(3, s0=module)
    assert world.run(60, lambda: bool(world.states) and world.states[-1].sequence == 3)
    world.run(5)
    state = world.states[-1]
    assert (state.accepted, state.online, state.link, state.errors, state.progress) == (3, True, True, {}, {})
    slot = last(world)
    assert (slot.state, slot.exit, slot.digest) == ("exited", 7, hashlib.sha256(module).digest())
    assert (slot.name, slot.version, slot.signed, slot.starts) == ("app", "1.1.0", True, 1)
    assert [(line.data, line.stream) for line in world.logs] == [(b"hello a V", 1)]
    assert "push" in {entry.phase for state in world.states for entry in state.progress.values()}
    assert {get.length for get in world.gets} == {CHUNK_SIZE}


@pytest.mark.parametrize(
    ("line", "state", "what"),
    [("trap unreachable", "trapped", "unreachable"), ("refuse bad import", "refused", "bad import")],
)
def test_bad_modules(line, state, what):
    world = World()
    world.connect()
    world.desire(1, s1=made("print first", f"after 2 {line}"))
    assert world.run(30, lambda: bool(world.states) and last(world, 1).state == state)
    assert what in (last(world, 1).trap, last(world, 1).error)
    assert last(world, 1).starts == 1


def test_a_health_probe_confirms_or_goes_back():
    good = made("print ready", "run", health=Health(line="ready", timeout_s=5))
    bad = made("print not yet", "run", health=Health(line="ready", timeout_s=5), sequence=2)
    traps = made("after 1 trap unreachable", health=Health(alive_s=3), sequence=3)
    world = World()
    world.connect()
    world.desire(1, s0=good)
    assert world.run(30, lambda: bool(world.states) and world.states[-1].sequence == 1)
    assert last(world).confirmed is True
    for sequence, module, reason in ((2, bad, "no sign of health"), (3, traps, "unreachable")):
        world.desire(sequence, s0=module)
        assert world.run(30, lambda: last(world).digest == hashlib.sha256(module).digest())  # noqa: B023
        assert last(world).confirmed is False
        assert world.run(30, lambda: world.states[-1].sequence == sequence)  # noqa: B023
        assert world.states[-1].errors == {0: f"the device went back to the former module: {reason}"}
        assert last(world).digest == hashlib.sha256(good).digest()
        assert last(world).state == "running"
        starts = last(world).starts
        world.device.restart_agent()
        world.connect()
        world.run(30)
        assert last(world).starts == starts  # it isn't tried again
        assert world.states[-1].errors


def test_a_wrong_digest_is_given_up():
    world = World()
    world.connect()
    module = made("run", size=9000)
    world.desire(1, s0=module)
    world.modules[hashlib.sha256(module).digest()] = bytes(len(module))
    assert world.run(60, lambda: bool(world.states) and bool(world.states[-1].errors))
    assert "another digest" in world.states[-1].errors[0]


def test_what_is_too_big_or_has_no_slot_fails():
    world = World(traits=Traits(module_max=1000))
    world.connect()
    world.desire(1, s0=made("run", size=5000), s7=made("run"))
    assert world.run(60, lambda: bool(world.states) and world.states[-1].sequence == 1)
    assert "takes 1000" in world.states[-1].errors[0]
    assert "no slot 7" in world.states[-1].errors[7]


def test_commands_are_done_once():
    world = World()
    world.connect()
    world.desire(1, s0=made("run"))
    assert world.run(30, lambda: bool(world.states) and world.states[-1].sequence == 1)
    stop, start = Command(b"1" * 8, "stop", 0), Command(b"2" * 8, "start", 0)
    for command in (Command(b"0" * 8, "ping"), stop, start, stop, start, Command(b"3" * 8, "start", 0)):
        world.send("cmd", command.encode())
        world.run(1)
    assert [ack.ok for ack in world.acks] == [True, True, True, True, True, False]
    assert last(world).state == "running"
    assert last(world).starts == 2


def test_older_and_other_desired_states_are_ignored():
    world = World()
    world.connect()
    one, two = made("print one", "run"), made("print two", "run", sequence=2)
    world.desire(5, s0=one)
    assert world.run(30, lambda: bool(world.states) and world.states[-1].sequence == 5)
    for sequence in (4, 5):
        world.desire(sequence, s0=two)
        world.run(5)
    assert last(world).digest == hashlib.sha256(one).digest()
    world.desire(6)
    assert world.run(30, lambda: world.states[-1].sequence == 6)
    assert last(world).state == "stopped"


@settings(max_examples=60)
@given(st.integers(0, 1 << 32), st.sampled_from([0.0, 0.1, 0.3]))
def test_whatever_goes_wrong_the_last_desired_state_is_reached(seed, faults):
    """Loss, duplicates, reordering, cuts, agent restarts, reboots, newer desired states half way."""
    world = World(seed, faults=faults)
    chance = random.Random(seed)
    modules = [made(f"print version {n}", "run", size=chance.randrange(30_000), sequence=n) for n in (1, 2, 3)]
    world.connect()
    for sequence in range(1, 5):
        module = chance.choice(modules)
        world.desire(sequence, s0=module)
        for _ in range(chance.randrange(6)):
            world.run(chance.random() * 2)
            match chance.randrange(3):
                case 0:
                    world.drop()
                case 1:
                    world.device.restart_agent()
                    world.drop()
                case 2:
                    world.device.reboot(world.now_s)
            world.run(chance.random())
            if not world.up:
                world.connect()
    world.faults = 0.0
    world.desire(5, s0=module)
    done = lambda: world.states[-1].sequence == 5 and world.states[-1].link and last(world).digest is not None  # noqa: E731
    assert world.run(300, done)
    assert last(world).digest == hashlib.sha256(module).digest()
    assert last(world).state == "running"
    accepted = [state.accepted for state in world.states]
    assert accepted == sorted(accepted)
    by_boot = {}
    for state in world.states:
        by_boot.setdefault(state.boot, []).append(state.report)
    assert all(reports == sorted(set(reports)) for reports in by_boot.values())
    known = {hashlib.sha256(m).digest() for m in modules}
    assert all(slot.digest in known | {None} for state in world.states for slot in state.slots)


@given(st.binary(max_size=200), st.sampled_from(["desired", "chunk", "cmd", "other"]))
def test_garbage_is_dropped(body, leaf):
    world = World()
    world.connect()
    world.device.message(leaf, body, world.now_s)
    world.run(1)
    assert not world.states[-1].errors


@pytest.mark.parametrize("text", ["jump", "after x run", "chance 2 run", "exit", "exit 300", "after -1 run", "after 1"])
def test_bad_scripts_are_refused(text):
    with pytest.raises(ScriptError):
        parse_script(text.encode())


def test_chance_and_time_in_scripts():
    module = VirtualModule.read(with_script(EMPTY, "after 3 exit 0", "chance 0.5 after 1 trap x", "print $0"))
    seen = {tuple(module.play(["n"], [], random.Random(seed))) for seed in range(50)}
    assert seen == {
        ((0.0, "print", "n"), (1.0, "trap", "x")),
        ((0.0, "print", "n"), (3.0, "exit", "0")),
    }
    assert VirtualModule.read(b"no module").refusal


def test_a_chunk_of_nobody_is_dropped():
    world = World()
    world.connect()
    world.device.message("chunk", Chunk(bytes(32), 0, b"x").encode(), world.now_s)
    world.run(1)
    assert world.states
