# SPDX-License-Identifier: Apache-2.0
"""A device and its agent, virtual: what docs/MQTT.md says of an agent, without a link, a disk or WebAssembly. Pure.

    message(leaf, body, now_s) ─┐                                   ┌─> outbox: messages to publish
    connected / disconnected ───┼─> the same messages, plan and ────┤
    wake(now_s) ────────────────┘   puller as agent/ has            └─> next_s: when to call wake again

Contract: time comes in as seconds of any monotonic clock; nothing is read but what is passed in, chance comes from the
seed. What an agent has on disk (desired state, records of starts, verified modules, parts) survives `restart_agent`;
a `reboot` of the device forgets its modules, as a device without flash does, and they are pushed anew.
A module that has a health probe is on trial after its start: confirmed, or back to the former one by itself.
Does NOT: verify signatures, know arenas or CPU budgets, keep logs (they are published as they come, or lost).
"""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from agent.errors import MessageError
from agent.messages import (
    Ack,
    Chunk,
    Command,
    Desired,
    DesiredSlot,
    LogLine,
    Metrics,
    Progress,
    SlotReport,
    State,
)
from agent.pull import Puller
from agent.reconcile import Activate, Fail, Halt, Observed, ObservedSlot, Pull, Push, Record, Start, Stop, plan

if TYPE_CHECKING:
    from agent.reconcile import Step as PlanStep
    from fleet.virtual_module import ModuleStore, VirtualModule

__all__ = ["Out", "Traits", "VirtualDevice"]

REPORT_INTERVAL_S = 0.1
HEARTBEAT_S = 60.0
METRICS_S = 10.0
PULL_ATTEMPTS = 3
REMEMBERED = 64
"""Commands whose answers are kept."""
PROBE_TIMEOUT_S = 30.0
"""Of a health probe that does not say."""
ARENA = 8 << 20
KEEP = 4
"""Verified modules kept besides the needed ones."""


@dataclass(frozen=True)
class Traits:
    """What all virtual devices of a fleet have in common."""

    slots: int = 2
    module_max: int = 4 << 20
    """Bytes."""
    push_rate: float = 500_000.0
    """Bytes a second over the serial port that is not there."""
    boot_s: float = 1.0
    kernel: str = "virtual"
    version: str = "0.1.0"
    device_class: str = "virtual"


@dataclass(frozen=True, slots=True)
class Out:
    """A message to publish."""

    leaf: str
    body: bytes
    qos: int = 0
    retain: bool = False


@dataclass(slots=True)
class _Slot:
    active: bytes | None = None
    size: int = 0
    candidate: bytes | None = None
    pending: bool = False
    confirmed: bool = False
    state: str = "empty"
    exit: int | None = None
    trap: str | None = None
    error: str | None = None
    starts: int = 0
    log_next: int = 0
    want: DesiredSlot | None = None
    """Of the last start."""
    former: tuple[bytes, DesiredSlot | None] | None = None
    """Module and start to go back to while the active one is on trial."""
    events: list[tuple[float, str, str]] = field(default_factory=list)
    """What the module still does: time, verb, text."""
    probe_s: float | None = None
    """When the health probe decides; None: no trial."""
    failed: tuple[bytes, str] | None = None
    """Module from which the device went back, and why."""
    push: tuple[float, bytes] | None = None
    """When the upload of which module is done."""


class VirtualDevice:
    """One device with its agent."""

    __slots__ = (
        "_answers", "_applied", "_boot", "_boots_at_s", "_cached", "_chance", "_desired", "_dirty_met", "_failed",
        "_metrics_s", "_parts", "_pulls", "_records", "_report_s", "_reporting", "_reports", "_slots", "_store",
        "_tries", "_wants_report", "connected_now", "name", "outbox", "traits",
    )  # fmt: skip

    def __init__(self, name: str, store: ModuleStore, traits: Traits, seed: int) -> None:
        self.name = name
        self.traits = traits
        self.outbox: list[Out] = []
        self.connected_now = False
        self._store = store
        self._chance = random.Random(f"{seed} {name}")  # noqa: S311 - a simulation, repeatable
        # On the agent's disk.
        self._desired = Desired(0)
        self._records: dict[int, Record] = {}
        self._cached: dict[bytes, None] = {}
        self._parts: dict[bytes, tuple[hashlib._Hash, int]] = {}
        # In the device.
        self._slots = [_Slot() for _ in range(traits.slots)]
        self._boots_at_s = 0.0
        self._forget()

    def _forget(self) -> None:
        """Begin with what an agent's process knows at its start."""
        self._boot = self._chance.randbytes(8)
        self._reports = 0
        self._applied = 0
        self._failed: dict[int, str] = {}
        self._pulls: dict[bytes, Puller] = {}
        self._tries: dict[bytes, int] = {}
        self._answers: dict[bytes, Ack] = {}
        self._wants_report = True
        self._reporting = False
        """A report is on its way and not acknowledged."""
        self._report_s = 0.0
        self._metrics_s = 0.0
        self._dirty_met = False

    # What others look at

    @property
    def settled(self) -> bool:
        """Whether the last desired state that it took was carried out (or failed)."""
        return self._applied == self._desired.sequence

    @property
    def accepted(self) -> int:
        """Sequence of the last desired state that it took."""
        return self._desired.sequence

    def running(self, slot: int) -> tuple[bytes | None, str]:
        """Give digest and state of a slot."""
        return self._slots[slot].active, self._slots[slot].state

    def starts(self, slot: int) -> int:
        """Give how often a slot was started since the device booted."""
        return self._slots[slot].starts

    @property
    def desired(self) -> Desired:
        """The last desired state that it took."""
        return self._desired

    def will(self) -> bytes:
        """Give the state that the broker publishes when the connection breaks."""
        return State(online=False, device=self.name, accepted=self._desired.sequence, boot=self._boot).encode()

    # What happens to it

    def connected(self, now_s: float) -> None:
        """Take note that the broker has accepted the agent and its subscriptions."""
        self.connected_now = True
        self._reporting = False
        self._wants_report = True
        self.wake(now_s)

    def disconnected(self) -> None:
        """Take note that the connection is gone; what was on its way may be lost."""
        self.connected_now = False
        self._reporting = False
        self._wants_report = True
        self.outbox.clear()

    def restart_agent(self) -> None:
        """Kill the agent and start it again: memory is gone, disk is not."""
        self.disconnected()
        for slot in self._slots:
            slot.push = None
        self._forget()

    def reboot(self, now_s: float) -> None:
        """Cut the device's power for a moment."""
        self._boots_at_s = now_s + self.traits.boot_s
        self._slots = [_Slot() for _ in self._slots]
        self._failed.clear()
        self._wants_report = True

    def acknowledged(self) -> None:
        """Take note that the broker has the last report. `wake` is to follow."""
        self._reporting = False

    def message(self, leaf: str, body: bytes, now_s: float) -> None:
        """Take a message of the server and do what is due."""
        self.take(leaf, body, now_s)
        self.wake(now_s)

    def take(self, leaf: str, body: bytes, now_s: float) -> None:
        """Take a message; one that is malformed is dropped, as the agent does. `wake` is to follow."""
        try:
            if leaf == "desired":
                if body:
                    self._desire(Desired.parse(body))
            elif leaf == "chunk":
                self._chunk(Chunk.parse(body), now_s)
            elif leaf == "cmd":
                self._command(Command.parse(body), now_s)
        except MessageError:
            return

    def wake(self, now_s: float) -> None:
        """Do what is due."""
        if now_s >= self._boots_at_s:
            if self._boots_at_s:
                self._boots_at_s = 0.0
                self._wants_report = True
            for number, slot in enumerate(self._slots):
                self._run(number, slot, now_s)
            self._reconcile(now_s)
        if not self.connected_now:
            return
        for puller in self._pulls.values():
            if (get := puller.want(now_s)) is not None:
                self.outbox.append(Out("get", get.encode()))
        if now_s >= self._report_s + HEARTBEAT_S:
            self._wants_report = True
        if self._wants_report and not self._reporting and now_s >= self._report_s + REPORT_INTERVAL_S:
            self._report(now_s)
        if self._dirty_met and now_s >= self._metrics_s + METRICS_S:
            self._metrics_s, self._dirty_met = now_s, False
            counters = {n: {"starts": s.starts, "lines": s.log_next} for n, s in enumerate(self._slots) if s.active}
            self.outbox.append(Out("met", Metrics(counters).encode()))

    @property
    def next_s(self) -> float:
        """When `wake` has something to do at the latest."""
        if self._boots_at_s:
            return self._boots_at_s
        times = [inf]
        if self.connected_now:
            if not self._reporting:
                times.append(self._report_s + (REPORT_INTERVAL_S if self._wants_report else HEARTBEAT_S))
            if self._dirty_met:
                times.append(self._metrics_s + METRICS_S)
            times += [puller.deadline_s for puller in self._pulls.values()]
        for slot in self._slots:
            if slot.push is not None:
                times.append(slot.push[0])
            if slot.events:
                times.append(slot.events[0][0])
            if slot.probe_s is not None:
                times.append(slot.probe_s)
        return min(times)

    # The agent

    def _desire(self, desired: Desired) -> None:
        if desired.sequence > self._desired.sequence:
            self._desired = desired
            self._failed.clear()
            for slot in self._slots:
                slot.push = None

    def _chunk(self, chunk: Chunk, now_s: float) -> None:
        puller = self._pulls.get(chunk.digest)
        if puller is None:
            return
        at = puller.offset
        data = puller.feed(chunk, now_s)
        if not data:
            return
        digest = chunk.digest
        hashing, _ = self._parts[digest]
        hashing.update(data)
        self._parts[digest] = (hashing, puller.offset)
        self._store.extend(digest, at, data)
        self._wants_report = True
        if puller.done:
            del self._pulls[digest], self._parts[digest]
            if hashing.digest() == digest:
                self._cached[digest] = None
            else:
                self._store.drop(digest)
                self._tries[digest] = self._tries.get(digest, 0) + 1

    def _command(self, command: Command, now_s: float) -> None:
        ack = self._answers.get(command.id)
        if ack is None:
            ack = self._carry_out(command, now_s)
            self._answers[command.id] = ack
            while len(self._answers) > REMEMBERED:
                del self._answers[next(iter(self._answers))]
        self.outbox.append(Out("ack", ack.encode(), qos=1))

    def _carry_out(self, command: Command, now_s: float) -> Ack:
        if now_s < self._boots_at_s:
            return Ack(command.id, ok=False, error="the agent does not reach the device")
        if command.slot is None:
            return Ack(command.id, ok=True)
        if command.slot >= len(self._slots):
            return Ack(command.id, ok=False, error=f"{self.name}: no slot {command.slot}")
        slot = self._slots[command.slot]
        if command.action == "stop":
            self._stop(slot)
        elif slot.active is None:
            return Ack(command.id, ok=False, error="slot empty")
        elif slot.state == "running":
            return Ack(command.id, ok=False, error="slot busy")
        else:
            self._start(slot, slot.want, now_s)
        self._wants_report = True
        return Ack(command.id, ok=True)

    def _reconcile(self, now_s: float) -> None:
        """Carry out what `plan` says as far as it goes without waiting."""
        desired = self._desired
        if self._applied == desired.sequence and not self._needs_look():
            return
        for _ in range(4 * len(self._slots) + 4):
            todo = plan(desired, self._observe(), self._records, self._cached.keys())
            left = {n: steps for n, steps in todo.items() if n not in self._failed}
            moved = [self._steps(n, steps, now_s) for n, steps in left.items()]
            if not any(moved):
                break
        trials = any(slot.probe_s is not None for slot in self._slots)
        if not left and not trials and self._applied != desired.sequence:
            self._applied = desired.sequence
            self._wants_report = True
            needed = {want.digest for want in desired.slots.values()}
            for digest in [d for d in self._cached if d not in needed][:-KEEP]:
                del self._cached[digest]
            for digest in [d for d in self._parts if d not in needed]:
                self._parts.pop(digest)
                self._pulls.pop(digest, None)

    def _needs_look(self) -> bool:
        """Whether a device that was as desired may not be so any more: it rebooted, or its agent did."""
        return any(
            n not in self._failed and self._slots[n].active is None for n in self._desired.slots if n < len(self._slots)
        )

    def _observe(self) -> Observed:
        return Observed(
            tuple(
                ObservedSlot(
                    s.active,
                    s.state == "running",
                    s.starts,
                    s.candidate,
                    pending=s.pending,
                    failed=s.failed[0] if s.failed else None,
                    failure=s.failed[1] if s.failed else "",
                )
                for s in self._slots
            ),
            self.traits.module_max,
        )

    def _steps(self, number: int, steps: tuple[PlanStep, ...], now_s: float) -> bool:
        """Carry out steps up to the first that takes time; says whether something changed."""
        for done, step in enumerate(steps):
            if not self._step(number, step, now_s):
                return done > 0
        return True

    def _step(self, number: int, step: PlanStep, now_s: float) -> bool:
        """Carry out a step; says whether something changed at once."""
        match step:
            case Fail(_, reason):
                self._failed[number] = reason
            case Pull(_, digest, size):
                return self._pull(number, digest, size)
            case Push(_, digest):
                slot = self._slots[number]
                if slot.push is None:
                    size = self._desired.slots[number].size
                    slot.push = (now_s + size / self.traits.push_rate, digest)
                    self._wants_report = True
                return False
            case Activate():
                self._slots[number].pending = True
            case Halt():
                self._stop(self._slots[number])
            case Stop():
                if number < len(self._slots):
                    self._stop(self._slots[number])
                del self._records[number]
            case Start(_, record):
                self._records[number] = record
                self._switch(self._slots[number], self._desired.slots[number], now_s)
        self._wants_report = True
        return True

    def _pull(self, number: int, digest: bytes, size: int) -> bool:
        if self._tries.get(digest, 0) >= PULL_ATTEMPTS:
            self._failed[number] = f"what the broker's side sends for {digest.hex()[:12]} has another digest"
            del self._tries[digest]
            return True
        if digest not in self._pulls:
            hashing, offset = self._parts.get(digest) or (hashlib.sha256(), 0)
            if offset >= size:  # another size than last time: begin again
                hashing, offset = hashlib.sha256(), 0
            self._parts[digest] = (hashing, offset)
            self._pulls[digest] = Puller(digest, size, offset)
            self._wants_report = True
        return False

    # The device

    def _switch(self, slot: _Slot, want: DesiredSlot, now_s: float) -> None:
        """Start a slot with the candidate if one is pending."""
        slot.failed = None
        if slot.pending and slot.candidate is not None:
            former = (slot.active, slot.want) if slot.active is not None else None
            slot.active, slot.candidate, slot.pending = slot.candidate, slot.active, False
            module = self._module(slot)
            if module is not None and module.manifest is not None and module.manifest.health is not None:
                health = module.manifest.health
                slot.probe_s = now_s + (health.alive_s or health.timeout_s or PROBE_TIMEOUT_S)
                slot.former = former
            slot.confirmed = slot.probe_s is None
        self._start(slot, want, now_s)

    def _module(self, slot: _Slot) -> VirtualModule | None:
        return self._store.get(slot.active) if slot.active is not None else None

    def _start(self, slot: _Slot, want: DesiredSlot | None, now_s: float) -> None:
        slot.want, slot.starts = want, slot.starts + 1
        slot.state, slot.exit, slot.trap, slot.error = "running", None, None, None
        module = self._module(slot)
        if module is None:
            slot.events = [(now_s, "refuse", "the virtual device has forgotten its bytes")]
            return
        slot.size = module.size
        args = (want.name, *want.args) if want is not None else ("module",)
        env = want.env if want is not None else ()
        slot.events = [(now_s + after_s, verb, text) for after_s, verb, text in module.play(args, env, self._chance)]

    def _stop(self, slot: _Slot) -> None:
        slot.events, slot.probe_s, slot.former = [], None, None
        if slot.state == "running":
            slot.state = "stopped"

    def _run(self, number: int, slot: _Slot, now_s: float) -> None:
        """Let a slot's upload and module go on to now."""
        if slot.push is not None and slot.push[0] <= now_s:
            slot.candidate, slot.pending, slot.push = slot.push[1], False, None
        while slot.events and slot.events[0][0] <= now_s:
            at_s, verb, text = slot.events.pop(0)
            if verb in ("print", "err"):
                self._say(number, slot, 1 if verb == "print" else 2, text)
                if verb == "print":
                    self._probe(number, slot, at_s, line=text)
            elif verb != "run":
                slot.state = {"exit": "exited", "trap": "trapped", "refuse": "refused"}[verb]
                if verb == "exit":
                    slot.exit = int(float(text))
                elif verb == "trap":
                    slot.trap = text or "unreachable"
                else:
                    slot.error = text
                slot.events = []
                self._wants_report = True
                self._probe(number, slot, at_s, ended=True)
        if slot.probe_s is not None and slot.probe_s <= now_s:
            self._probe(number, slot, now_s, time_is_up=True)

    def _say(self, number: int, slot: _Slot, stream: int, text: str) -> None:
        record = LogLine(number, stream, slot.log_next, text.encode(), line=True)
        slot.log_next += 1
        self._dirty_met = True
        if self.connected_now:
            self.outbox.append(Out("log", record.encode()))

    def _probe(
        self, number: int, slot: _Slot, now_s: float, *, line: str | None = None, ended: bool = False,
        time_is_up: bool = False,
    ) -> None:  # fmt: skip
        """Let the health probe of a module on trial look."""
        module = self._module(slot)
        if slot.probe_s is None or module is None or module.manifest is None or module.manifest.health is None:
            return
        health = module.manifest.health
        good = (
            (health.line is not None and line == health.line)
            or (health.exit is not None and ended and slot.exit == health.exit)
            or (health.alive_s is not None and time_is_up and slot.state == "running")
        )
        if good:
            slot.probe_s, slot.former, slot.confirmed = None, None, True
            self._wants_report = True
        elif ended or time_is_up:
            self._go_back(number, slot, now_s)

    def _go_back(self, number: int, slot: _Slot, now_s: float) -> None:
        """Return to the former module: the health probe failed."""
        reason = slot.trap or slot.error or (f"exit code {slot.exit}" if slot.exit is not None else "no sign of health")
        former, slot.probe_s, slot.former, slot.events = slot.former, None, None, []
        self._failed[number] = f"the device went back to the former module: {reason}"
        if slot.active is not None:
            slot.failed = (slot.active, reason)
        self._wants_report = True
        if former is None:
            return  # nothing to go back to: it stays as it is, unconfirmed
        slot.active, slot.candidate, slot.confirmed = former[0], slot.active, True
        self._start(slot, former[1], now_s)

    # Reports

    def _report(self, now_s: float) -> None:
        self._reports += 1
        self._wants_report, self._reporting, self._report_s = False, True, now_s
        up = not self._boots_at_s
        state = State(
            online=True,
            device=self.name,
            sequence=self._applied,
            accepted=self._desired.sequence,
            link=up,
            kernel=self.traits.kernel,
            version=self.traits.version,
            arena=ARENA,
            image="development",
            device_class=self.traits.device_class,
            boot=self._boot,
            report=self._reports,
            slots=tuple(self._slot_report(n, slot) for n, slot in enumerate(self._slots)),
            progress=self._progress(),
            errors=dict(self._failed),
        )
        self.outbox.append(Out("state", state.encode(), qos=1, retain=True))

    def _slot_report(self, number: int, slot: _Slot) -> SlotReport:
        module = self._module(slot)
        manifest = module.manifest if module is not None else None
        return SlotReport(
            slot=number,
            state=slot.state,
            digest=slot.active,
            size=slot.size,
            exit=slot.exit,
            trap=slot.trap,
            error=slot.error,
            backtrace="#0 virtual" if slot.trap else None,
            starts=slot.starts,
            log_next=slot.log_next,
            confirmed=slot.confirmed if slot.active is not None else None,
            signed=manifest is not None if slot.active is not None else None,
            name=manifest.name if manifest else None,
            version=manifest.version if manifest else None,
            release=manifest.sequence if manifest else None,
            key=module.key if module is not None else None,
            budget=100,
        )

    def _progress(self) -> dict[int, Progress]:
        moving = {}
        for number, want in self._desired.slots.items():
            puller = self._pulls.get(want.digest)
            if puller is not None:
                moving[number] = Progress(want.digest, puller.offset, puller.size, "pull")
            elif number < len(self._slots) and (push := self._slots[number].push) is not None:
                moving[number] = Progress(push[1], 0, want.size, "push")
        return moving
