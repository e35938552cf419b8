# SPDX-License-Identifier: Apache-2.0
"""The state of every device: for the map of states, the counts, and to look for devices by state.

Kept for a second in each process, however many look: with 10,000 devices a query costs tens of milliseconds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fleet import overview
from fleet.filters import compile_filter, parse
from fleet.models import Device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from fleet.database import Database
    from fleet.pages.site import Ask

__all__ = ["STATES", "map_of_states", "matching", "modules", "states"]

STATES: Mapping[str, tuple[str, str]] = {
    "good": ("g", "ok"),
    "updating": ("u", "updating"),
    "failing": ("f", "failing"),
    "unreachable": ("n", "no answer from device"),
    "offline": ("o", "offline"),
    "pending": ("p", "to be accepted"),
    "expected": ("e", "expected"),
    "revoked": ("r", "revoked"),
}
"""Each state of `fleet.devices.state_of`: its letter in the map, and its words."""
KEEP_S = 1.0


class _Cache:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.at_s = -KEEP_S
        self.states: dict[str, str] = {}
        self.modules: list[dict[str, Any]] = []


_caches: dict[int, tuple[Database, _Cache]] = {}


def states(db: Session, ask: Ask) -> dict[str, str]:
    """Give the state of each device by name, in the names' order; not to be changed."""
    return _fresh(db, ask).states


def modules(db: Session, ask: Ask) -> list[dict[str, Any]]:
    """Give what runs on how many devices, the most first; not to be changed."""
    return _fresh(db, ask).modules


def _fresh(db: Session, ask: Ask) -> _Cache:
    _, cache = _caches.setdefault(id(ask.fleet.database), (ask.fleet.database, _Cache()))
    with cache.lock:
        if time.monotonic() - cache.at_s >= KEEP_S:
            cache.states = overview.state_map(db)
            cache.modules = overview.counts(db)["modules"]
            cache.at_s = time.monotonic()
        return cache


def matching(db: Session, ask: Ask) -> dict[str, str]:
    """Give states by name of those that match the query's `q` (filter language) and `state`. InvalidError."""
    found = states(db, ask)
    text, wanted = ask.query.get("q", "").strip(), ask.query.get("state", "")
    if text:
        names = set(db.scalars(select(Device.name).where(compile_filter(parse(as_filter(text))))))
        found = {name: state for name, state in found.items() if name in names}
    if wanted:
        found = {name: state for name, state in found.items() if state == wanted}
    return found


def as_filter(text: str) -> str:
    """Read what somebody typed: a filter, or a part of a name where it is a single plain word."""
    if (
        text != "all"
        and all(char.isalnum() or char in "-_." for char in text)
        and not text.startswith(("tag.", "slot."))
    ):
        return f'name ~ "*{text}*"'
    return text


def counts(found: Mapping[str, str]) -> dict[str, int]:
    """Count by state; every state is there."""
    numbers = Counter(found.values())
    return {state: numbers[state] for state in STATES}


def map_of_states(db: Session, ask: Ask) -> dict[str, Any]:
    """Names, and a letter each for their states."""
    found = matching(db, ask)
    return {
        "names": list(found),
        "states": "".join(STATES[state][0] for state in found.values()),
        "words": dict(STATES.values()),
    }
