# SPDX-License-Identifier: Apache-2.0
"""The front page: how the fleet is, as a map and as a table, what rolls out, what happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from fleet.errors import InvalidError
from fleet.models import Artifact, Device
from fleet.pages.views.events import latest
from fleet.pages.views.rollout_list import running
from fleet.pages.views.states import STATES, counts, matching, modules, states

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["fleet", "names_of", "rows"]

PER_PAGE = 50
EVENTS = 10
MODULES = 6


def names_of(db: Session, digests: Iterable[str | None]) -> dict[str, str]:
    """Give "name version" of artifacts by digest; unknown ones are left out."""
    wanted = {digest for digest in digests if digest}
    query = select(Artifact.digest, Artifact.name, Artifact.version).where(Artifact.digest.in_(wanted))
    return {digest: f"{name} {version}".strip() for digest, name, version in db.execute(query)} if wanted else {}


def rows(db: Session, found: dict[str, str], names: list[str]) -> list[dict[str, Any]]:
    """Give the table's rows for devices."""
    query = select(Device).where(Device.name.in_(names)).options(selectinload(Device.tags), selectinload(Device.slots))
    devices = list(db.scalars(query.order_by(Device.name)))
    modules = names_of(db, (slot.digest for device in devices for slot in device.slots))
    return [
        {
            "name": device.name,
            "state": found.get(device.name, ""),
            "seen_ms": device.seen_ms,
            "kernel": device.kernel,
            "tags": {tag.key: tag.value for tag in device.tags},
            "slots": [
                {
                    "slot": slot.slot,
                    "state": slot.state,
                    "digest": slot.digest,
                    "module": modules.get(slot.digest or "", ""),
                }
                for slot in device.slots
                if slot.state != "empty"
            ],
            "progress": share_of(device.progress),
        }
        for device in devices
    ]


def share_of(progress: dict[str, Any]) -> float | None:
    """Give how far the slowest transfer is, in percent; None if there is none."""
    shares = [
        100 * entry.get("offset", 0) / entry["size"]
        for entry in progress.values()
        if isinstance(entry, dict) and entry.get("size")
    ]
    return min(shares) if shares else None


def fleet(db: Session, ask: Ask) -> dict[str, Any]:
    """Counts by state, devices that match, rollouts that run, and the last events."""
    everyone = states(db, ask)
    problem = ""
    try:
        found = matching(db, ask)
    except InvalidError as error:
        found, problem = {}, str(error)
    after = ask.query.get("after", "")
    names = [name for name in found if name > after][: PER_PAGE + 1]
    search = {name: ask.query[name] for name in ("q", "state") if ask.query.get(name)}
    more = urlencode({**search, "after": names[PER_PAGE - 1]}) if len(names) > PER_PAGE else ""
    return {
        "total": len(everyone),
        "online": db.scalar(select(func.count()).select_from(Device).where(Device.online)) or 0,
        "counts": counts(everyone),
        "words": {state: words for state, (_, words) in STATES.items()},
        "matching": len(found),
        "problem": problem,
        "search": search,
        "source": f"/api/v1/views/map?{urlencode(search)}",
        "devices": rows(db, found, names[:PER_PAGE]),
        "more": more,
        "rollouts": running(db),
        "modules": modules(db, ask)[:MODULES],
        "events": latest(db, EVENTS),
    }
