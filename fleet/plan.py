# SPDX-License-Identifier: Apache-2.0
"""How a rollout goes: waves, thresholds, time, who has to agree. Parsed once from JSON; unknown keys are refused.

Example::

    {"waves": [{"count": 1, "bake_s": 60}, {"percent": 10}, {"percent": 100, "per_minute": 500}],
     "max_in_flight": 200, "success_percent": 95, "error_percent": 5, "min_samples": 10, "on_error": "rollback",
     "timeout_s": 600, "check_s": 30, "attempts": 2, "penalty_s": 300, "approval": true,
     "windows": [{"days": ["sat", "sun"], "from": "22:00", "to": "04:00"}]}

A wave reaches `count` further devices, or `percent` of all of them (those of earlier waves included). What the last one
does not reach a further wave of 100 percent does.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from fleet.errors import InvalidError

__all__ = ["OnError", "Plan", "Wave", "Window"]

MAX_WAVES = 50
MAX_WINDOWS = 14
DAY_MINUTES = 1440
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK_S = 7 * 86400
OnError = Literal["pause", "stop", "rollback"]


def _number(name: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidError(f"plan: {name} is {value!r:.40}: a number from {least:g} to {most:g} is needed")
    return value


def _whole(name: str, value: object, least: int, most: int) -> int:
    if type(value) is not int:
        raise InvalidError(f"plan: {name} is {value!r:.40}: a whole number is needed")
    return int(_number(name, value, least, most))


def _table(name: str, value: object, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidError(f"plan: {name}: an object is needed")
    if unknown := sorted(str(key) for key in value if key not in known):
        raise InvalidError(f"plan: {name}: unknown key {unknown[0]!r:.40}; known are {', '.join(sorted(known))}")
    return value


def _list(name: str, value: object, most: int) -> list[Any]:
    if not isinstance(value, list | tuple) or len(value) > most:
        raise InvalidError(f"plan: {name}: a list of at most {most} is needed")
    return list(value)


@dataclass(frozen=True)
class Wave:
    """One stage: exactly one of count and percent."""

    count: int | None = None
    percent: float | None = None
    per_minute: int | None = None
    """Releases a minute at most; None: as many as may be in flight."""
    bake_s: float = 0.0
    """How long nothing may have changed before the next wave."""

    def __post_init__(self) -> None:
        """Check."""
        if (self.count is None) == (self.percent is None):
            raise InvalidError("plan: a wave needs exactly one of count and percent")
        if self.count is not None:
            _whole("count", self.count, 1, 1_000_000)
        if self.percent is not None:
            _number("percent", self.percent, 0.001, 100)
        if self.per_minute is not None:
            _whole("per_minute", self.per_minute, 1, 1_000_000)
        _number("bake_s", self.bake_s, 0, WEEK_S)

    def target(self, total: int, before: int) -> int:
        """Give how many devices are reached when it is done; `before`: by earlier waves."""
        if self.count is not None:
            return min(total, before + self.count)
        return min(total, max(before, math.ceil(total * (self.percent or 0) / 100)))


@dataclass(frozen=True)
class Window:
    """When devices may be changed, UTC; `to` before `start` goes over midnight into the next day."""

    days: tuple[str, ...] = DAYS
    """On which it begins."""
    start: str = "00:00"
    to: str = "24:00"

    @classmethod
    def parse(cls, value: object) -> Window:
        """Check JSON, where `start` is called "from"."""
        table = _table("window", value, {"days", "from", "to"})
        days = tuple(_list("days", table.get("days", DAYS), len(DAYS)))
        if not days or any(day not in DAYS for day in days):
            raise InvalidError(f"plan: days: some of {', '.join(DAYS)} are needed")
        window = cls(days, str(table.get("from", "00:00")), str(table.get("to", "24:00")))
        if window.minutes()[0] == window.minutes()[1]:
            raise InvalidError("plan: a window that begins when it ends is none")
        return window

    def minutes(self) -> tuple[int, int]:
        """Give begin and end in minutes of the day."""
        return _minutes(self.start), _minutes(self.to)

    def open(self, now: dt.datetime) -> bool:
        """Tell whether it is open."""
        begin, end = self.minutes()
        minute, today = now.hour * 60 + now.minute, now.weekday()
        if begin < end:
            return DAYS[today] in self.days and begin <= minute < end
        return (DAYS[today] in self.days and minute >= begin) or (DAYS[today - 1] in self.days and minute < end)

    def table(self) -> dict[str, Any]:
        """As JSON."""
        return {"days": list(self.days), "from": self.start, "to": self.to}


def _minutes(text: str) -> int:
    hours, colon, minutes = text.partition(":")
    if colon and hours.isdigit() and minutes.isdigit() and len(text) <= len("24:00"):
        value = int(hours) * 60 + int(minutes)
        if int(minutes) < 60 and value <= DAY_MINUTES:  # noqa: PLR2004 - minutes of an hour
            return value
    raise InvalidError(f"plan: {text!r:.20} is no time of day such as 22:30")


@dataclass(frozen=True)
class Plan:
    """Everything that a rollout is told besides what goes where."""

    waves: tuple[Wave, ...] = (Wave(count=1), Wave(percent=10), Wave(percent=100))
    max_in_flight: int = 1000
    success_percent: float = 100.0
    """Of a wave's devices that must succeed before the next one."""
    error_percent: float = 10.0
    """Of the devices that came to an end: more failures do what `on_error` says."""
    min_samples: int = 1
    """Devices that came to an end before error_percent counts."""
    on_error: OnError = "pause"
    timeout_s: float = 600.0
    """From release to the device's answer."""
    check_s: float = 10.0
    """How long the module must keep running to be healthy; a device's own probe counts besides."""
    attempts: int = 1
    """Of a device that fails."""
    penalty_s: float = 300.0
    """Before its next attempt; twice as long each time."""
    twin: bool = True
    """First on a twin under QEMU."""
    twin_soak_s: float = 5.0
    approval: bool = True
    """By another person than the one who made it."""
    join: bool = True
    """Devices that match later join while it runs."""
    wait_offline: bool = True
    """It is not complete while devices that are offline wait."""
    windows: tuple[Window, ...] = ()
    """When devices are released; none: always."""

    def __post_init__(self) -> None:
        """Check."""
        if not 1 <= len(self.waves) <= MAX_WAVES:
            raise InvalidError(f"plan: 1 to {MAX_WAVES} waves are needed")
        _whole("max_in_flight", self.max_in_flight, 1, 1_000_000)
        _whole("min_samples", self.min_samples, 1, 1_000_000)
        _whole("attempts", self.attempts, 1, 100)
        for name in ("success_percent", "error_percent"):
            _number(name, getattr(self, name), 0, 100)
        _number("timeout_s", self.timeout_s, 1, WEEK_S)
        for name in ("check_s", "penalty_s", "twin_soak_s"):
            _number(name, getattr(self, name), 0, WEEK_S)
        if self.on_error not in get_args(OnError):
            raise InvalidError(f"plan: on_error is one of {', '.join(get_args(OnError))}")
        for name in ("twin", "approval", "join", "wait_offline"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidError(f"plan: {name}: true or false is needed")

    @classmethod
    def parse(cls, value: object) -> Plan:
        """Check JSON. InvalidError."""
        table = dict(_table("the plan", value, {item.name for item in fields(cls)}))
        if "waves" in table:
            known = {item.name for item in fields(Wave)}
            table["waves"] = tuple(Wave(**_table("wave", item, known)) for item in _list("waves", table["waves"], 50))
        if "windows" in table:
            table["windows"] = tuple(map(Window.parse, _list("windows", table["windows"], MAX_WINDOWS)))
        return cls(**table)

    def table(self) -> dict[str, Any]:
        """As JSON, which `parse` reads back."""
        table = asdict(self)
        table["waves"] = [{k: v for k, v in asdict(wave).items() if v is not None} for wave in self.waves]
        table["windows"] = [window.table() for window in self.windows]
        return table

    @property
    def stages(self) -> tuple[Wave, ...]:
        """The waves, with the one that reaches everybody."""
        last = self.waves[-1]
        return self.waves if last.percent == 100 else (*self.waves, Wave(percent=100))  # noqa: PLR2004 - all

    def open(self, now_ms: int) -> bool:
        """Tell whether devices may be released now."""
        now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
        return not self.windows or any(window.open(now) for window in self.windows)
