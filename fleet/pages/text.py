# SPDX-License-Identifier: Apache-2.0
"""How values are written for people: times, sizes, digests, states. Filters and functions of the templates; all pure.

What they return is plain text that the templates escape like everything else.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from fleet.clock import now_ms

__all__ = ["FILTERS", "GLOBALS", "ago", "clock", "count", "duration", "share", "short", "size"]

_SECOND, _MINUTE, _HOUR, _DAY = 1000, 60_000, 3_600_000, 86_400_000
_KIB = 1024
_SOON_S = 5


def duration(ms: float | None) -> str:
    """12 ms, 3.4 s, 5 min, 2 h, 4 d."""
    if ms is None:
        return "–"
    if ms < _SECOND:
        return f"{ms:.0f} ms"
    if ms < _MINUTE:
        return f"{ms / _SECOND:.1f}".removesuffix(".0") + " s" if ms < 10 * _SECOND else f"{ms / _SECOND:.0f} s"
    if ms < _HOUR:
        return f"{ms / _MINUTE:.0f} min"
    if ms < _DAY:
        return f"{ms / _HOUR:.1f} h"
    return f"{ms / _DAY:.0f} d"


def ago(at_ms: int | None) -> str:
    """How long ago; "never" without a time."""
    if not at_ms:
        return "never"
    passed = now_ms() - at_ms
    if passed < -_SECOND:
        return f"in {duration(-passed)}"
    if passed < _SOON_S * _SECOND:
        return "just now"
    return f"{duration(passed - passed % _SECOND)} ago"


def clock(at_ms: int | None) -> str:
    """Date and time, UTC."""
    if not at_ms:
        return "–"
    return dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def time_of_day(at_ms: int | None) -> str:
    """Time, UTC."""
    return clock(at_ms)[11:]


def size(value: int | None) -> str:
    """Bytes: 640 B, 64 KiB, 8 MiB."""
    if value is None:
        return "–"
    if value < _KIB:
        return f"{value} B"
    if value < _KIB * _KIB:
        return f"{value / _KIB:.1f}".removesuffix(".0") + " KiB"
    return f"{value / _KIB / _KIB:.1f}".removesuffix(".0") + " MiB"


def count(value: int | None) -> str:
    """A number with thin spaces between thousands."""
    return "–" if value is None else f"{value:,}".replace(",", "\u202f")


def short(digest: str | None) -> str:
    """The first 12 digits of a digest."""
    return digest[:12] if digest else "–"


def share(part: float, whole: float) -> float:
    """Percent, 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def percent(value: float) -> str:
    """A share in percent, with a digit only where it matters."""
    return f"{value:.1f} %" if 0 < value < 10 and value != int(value) else f"{value:.0f} %"  # noqa: PLR2004


_KINDS = {
    # devices
    "ok": "ok",
    "busy": "busy",
    "failed": "bad",
    "idle": "",
    "offline": "off",
    "waiting": "warn",
    "good": "ok",
    "failing": "bad",
    "unreachable": "warn",
    # slots
    "running": "ok",
    "exited": "",
    "trapped": "bad",
    "refused": "bad",
    "empty": "off",
    # rollouts and their devices
    "draft": "",
    "gate": "busy",
    "approval": "warn",
    "paused": "warn",
    "stopped": "bad",
    "completed": "ok",
    "succeeded": "ok",
    "returning": "busy",
    "returned": "warn",
    "updating": "busy",
    "checking": "busy",
    "penalised": "warn",
    "stuck": "bad",
    "skipped": "off",
    # twin jobs, signatures, users
    "passed": "ok",
    "trusted": "ok",
    "unsigned": "warn",
    "enrolled": "ok",
    "expected": "warn",
    "pending": "warn",
    "revoked": "bad",
    "disabled": "bad",
    "active": "ok",
}


def kind(state: str) -> str:
    """The colour of a state's badge."""
    return _KINDS.get(state, "")


PHASES = {
    "gate": "in the twin gate",
    "approval": "waits for approval",
    "running": "rolling out",
    "paused": "paused",
    "stopped": "stopped",
    "returning": "rolling back",
    "returned": "rolled back",
    "completed": "completed",
    "refused": "refused",
}


def phase(name: str) -> str:
    """A rollout's phase in words."""
    return PHASES.get(name, name)


FILTERS: dict[str, Any] = {
    "ago": ago,
    "clock": clock,
    "time_of_day": time_of_day,
    "duration": duration,
    "size": size,
    "count": count,
    "short": short,
    "percent": percent,
    "kind": kind,
    "phase": phase,
}
GLOBALS: dict[str, Any] = {"share": share, "now_ms": now_ms}
