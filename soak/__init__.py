# SPDX-License-Identifier: Apache-2.0
"""Long runs that look for what a test of seconds cannot see: `make soak`, or `python -m soak`.

A part is a file in soak/parts/ that says `PART = Part(...)`; its name is the file's. It is bounded (a part that takes
longer than its `timeout_s` is killed and has failed), it draws what is random from `Soak.random` alone, so that a seed
repeats it, and it says what it saw through `Soak`:

    async def _run(soak: Soak) -> None:
        for _ in range(soak.times(1000)):
            ...
            soak.check(answer == question, f"{answer} came back for {question}")
        soak.measure("slowest round trip", slowest_ms, "ms", at_most=250)

    PART = Part("a thousand questions to a device, each answered once", timeout_s=600, run=_run)

Limits on time belong here and in `bench`, never into a test.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = [
    "LeftOut",
    "Measured",
    "Part",
    "Progress",
    "Soak",
    "TooManyViolationsError",
    "Violation",
    "find_part",
    "part_names",
]

MAX_VIOLATIONS = 100  # told one by one; a part that has more ends there


@dataclass(frozen=True)
class Measured:
    """A row of the table."""

    what: str
    value: float
    unit: str
    limit: str  # "<= 300", or "" without one


@dataclass(frozen=True)
class Violation:
    """Something that must not be."""

    text: str


@dataclass(frozen=True)
class LeftOut:
    """What this machine could not run, and why."""

    text: str


@dataclass(frozen=True)
class Progress:
    """Where the part is, for people who watch."""

    text: str


Event = Measured | Violation | LeftOut | Progress


class TooManyViolationsError(Exception):
    """There is nothing to learn from going on."""


class Soak:
    """What a part is given: its seed, its size, a folder of its own, and whom to tell. Events go out as they come."""

    def __init__(self, name: str, folder: Path, events: TextIO, *, seed: int = 0, scale: float = 1.0) -> None:
        self.name = name
        self.folder = folder  # empty, and removed afterwards
        self.seed = seed
        self.scale = scale
        self.random = random.Random(f"{seed} {name}")  # noqa: S311 - repeatable on purpose
        self.violations = 0
        self._events = events

    def times(self, count: int) -> int:
        """How often to do what is done `count` times at scale 1; at least once."""
        return max(1, round(count * self.scale))

    def measure(
        self, what: str, value: float, unit: str = "", *, at_most: float | None = None, at_least: float | None = None
    ) -> None:
        """Put a number into the table; beyond its limit it is a violation."""
        limits = [f"<= {at_most:g}"] if at_most is not None else []
        limits += [f">= {at_least:g}"] if at_least is not None else []
        self._tell(Measured(what, value, unit, ", ".join(limits)))
        holds = (at_most is None or value <= at_most) and (at_least is None or value >= at_least)
        self.check(holds, f"{what}: {value:g} {unit}".strip() + f" is not {' and '.join(limits)}")

    def check(self, holds: bool, text: str) -> None:
        """Count a violation unless it holds."""
        if holds:
            return
        self.violations += 1
        self._tell(Violation(text))
        if self.violations >= MAX_VIOLATIONS:
            raise TooManyViolationsError(f"{MAX_VIOLATIONS} violations: this part ends here")

    def left_out(self, text: str) -> None:
        """Say what this machine cannot run, and why."""
        self._tell(LeftOut(text))

    def progress(self, text: str) -> None:
        """Say where the part is."""
        self._tell(Progress(text))

    def _tell(self, event: Event) -> None:
        self._events.write(json.dumps({"event": type(event).__name__, **asdict(event)}) + "\n")
        self._events.flush()


def read_event(line: str) -> Event:
    """Return what one line of a part's events says; ValueError if it is none."""
    fields = json.loads(line)
    kind = {kind.__name__: kind for kind in (Measured, Violation, LeftOut, Progress)}.get(fields.pop("event"))
    if kind is None:
        raise ValueError(f"no event: {line!r}")
    return kind(**fields)


@dataclass(frozen=True)
class Part:
    """One long run."""

    what: str  # a line for the list
    timeout_s: float  # of wall-clock time at scale 1 on a busy machine
    run: Callable[[Soak], Awaitable[None]]


def part_names() -> list[str]:
    """Return the names of all parts, sorted."""
    return sorted(module.name for module in iter_modules([str(Path(__file__).parent / "parts")]))


def find_part(name: str) -> Part:
    """Return the part of that name."""
    part = import_module(f"soak.parts.{name}").PART
    if not isinstance(part, Part):
        raise TypeError(f"soak/parts/{name}.py: PART is no Part")
    return part
