# SPDX-License-Identifier: Apache-2.0
"""What to do so that a device becomes what is desired: a pure function.

Theory. A slot is as desired when the device's active module has the desired digest and was started by us with the
desired configuration. The device does not know configurations, so before each start the agent writes a `Record` to
disk: digest, configuration, and the device's counter of starts. A record whose digest is active and whose counter the
device has since passed is a start that took place, whether or not the agent lived to see the answer: that makes "start"
happen once over any number of crashes. A device that restarted has forgotten its modules (no digest), so it is pushed
and started again. A local `flash`, `start` or `stop` through the agent holds until the next desired state, the
next connection, or the next boot of the device asks for a new plan.

Each step is safe to repeat, and `plan` of the state after all its steps is empty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from collections.abc import Set as AbstractSet

    from agent.messages import Desired, DesiredSlot

__all__ = [
    "Activate",
    "Fail",
    "Halt",
    "Observed",
    "ObservedSlot",
    "Pull",
    "Push",
    "Record",
    "Start",
    "Step",
    "Stop",
    "plan",
]


@dataclass(frozen=True)
class ObservedSlot:
    """One slot of the device."""

    digest: bytes | None
    """Of the active module."""
    running: bool
    starts: int
    candidate: bytes | None = None
    """Digest of the whole candidate."""
    pending: bool = False
    """The next start switches to the candidate."""
    failed: bytes | None = None
    """Digest of the module from which the device went back because it failed."""
    failure: str = ""
    """Why."""
    probe_ms: int | None = None
    """The active module is on trial, and its health probe decides within this time."""


@dataclass(frozen=True)
class Observed:
    """The device."""

    slots: tuple[ObservedSlot, ...]
    module_max: int
    """Bytes."""


@dataclass(frozen=True)
class Record:
    """A start that the agent is about to do or has done."""

    digest: bytes
    config: str
    starts_before: int
    """The device's counter before it."""


@dataclass(frozen=True)
class Pull:
    """Get the module into the cache."""

    slot: int
    digest: bytes
    size: int


@dataclass(frozen=True)
class Push:
    """Upload the cached module as the slot's candidate."""

    slot: int
    digest: bytes


@dataclass(frozen=True)
class Activate:
    """Mark the candidate as pending."""

    slot: int
    digest: bytes


@dataclass(frozen=True)
class Start:
    """Write the record, then start the slot."""

    slot: int
    record: Record


@dataclass(frozen=True)
class Halt:
    """Stop a slot so that its active module can be started anew."""

    slot: int


@dataclass(frozen=True)
class Stop:
    """Stop a slot that is no longer desired and forget its record."""

    slot: int


@dataclass(frozen=True)
class Fail:
    """The device cannot do what is desired."""

    slot: int
    reason: str


Step = Pull | Push | Activate | Halt | Start | Stop | Fail


def plan(
    desired: Desired, observed: Observed, records: Mapping[int, Record], cached: AbstractSet[bytes]
) -> dict[int, tuple[Step, ...]]:
    """Give the steps of each slot that is not as desired, in order; slots are independent of each other."""
    steps: dict[int, tuple[Step, ...]] = {}
    for slot in records.keys() - desired.slots.keys():
        steps[slot] = (Stop(slot),)
    for slot, want in desired.slots.items():
        if slot >= len(observed.slots):
            steps[slot] = (Fail(slot, f"the device has no slot {slot}, only {len(observed.slots)} from 0"),)
            continue
        if want.size > observed.module_max:
            reason = f"the module has {want.size} bytes, the device takes {observed.module_max}"
            steps[slot] = (Fail(slot, reason),)
            continue
        now = observed.slots[slot]
        record = records.get(slot)
        ours = record is not None and (record.digest, record.config) == (want.digest, want.config())
        if ours and now.digest == want.digest and record is not None and now.starts > record.starts_before:
            continue
        if ours and now.failed == want.digest:
            steps[slot] = (Fail(slot, f"the device went back to the former module: {now.failure}"),)
            continue
        steps[slot] = _replace(slot, want, now, cached)
    return steps


def _replace(slot: int, want: DesiredSlot, now: ObservedSlot, cached: AbstractSet[bytes]) -> tuple[Step, ...]:
    """Give the steps from what a slot has to what it is wanted to run."""
    todo: list[Step] = []
    # A pending candidate of another digest would be switched to by our start.
    if now.digest != want.digest or (now.pending and now.candidate != want.digest):
        if now.candidate != want.digest:
            if want.digest not in cached:
                todo.append(Pull(slot, want.digest, want.size))
            todo.append(Push(slot, want.digest))
        todo.append(Activate(slot, want.digest))
    elif now.running:
        todo.append(Halt(slot))
    todo.append(Start(slot, Record(want.digest, want.config(), now.starts)))
    return tuple(todo)
