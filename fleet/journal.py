# SPDX-License-Identifier: Apache-2.0
"""What happened: events, output of modules, samples of counters. What is kept of them is up to fleet.retention.

Kinds of events: `device.online`, `.offline`, `.link`, `.error`, `.module`, `.trapped`, `.refused`, `.exited`;
`rollout.` and a phase or `.wave`, `.device`; `twin.passed`, `.failed`; `webhook.disabled`; `server.started`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from fleet.clock import now_ms
from fleet.models import Delivery, Device, Event, LogRecord, Sample, Webhook
from fleet.output import text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

__all__ = ["Entry", "add_event", "add_events", "events", "logs", "samples", "view"]

MAX_TEXT = 1000
MAX_PAGE = 1000


@dataclass(frozen=True)
class Entry:
    """An event to be written."""

    kind: str
    text: str
    severity: str = "info"
    device_id: int | None = None
    rollout_id: int | None = None
    data: dict[str, Any] = field(default_factory=dict)
    at_ms: int = 0


def add_events(session: Session, entries: Sequence[Entry]) -> None:
    """Write events, and what webhooks are to be told of them."""
    if not entries:
        return
    rows = [
        {
            "at_ms": entry.at_ms or now_ms(),
            "kind": entry.kind,
            "severity": entry.severity,
            "device_id": entry.device_id,
            "rollout_id": entry.rollout_id,
            "text": entry.text[:MAX_TEXT],
            "data": entry.data,
        }
        for entry in entries
    ]
    session.execute(insert(Event), rows)
    _tell_webhooks(session, rows)


def _tell_webhooks(session: Session, rows: list[dict[str, Any]]) -> None:
    hooks = session.scalars(select(Webhook).where(Webhook.enabled)).all()
    deliveries = [
        {
            "webhook_id": hook.id,
            "body": {name: row[name] for name in ("at_ms", "kind", "severity", "rollout_id", "text", "data")},
            "next_ms": row["at_ms"],
            "created_ms": row["at_ms"],
        }
        for hook in hooks
        for row in rows
        if not hook.kinds or row["kind"].startswith(tuple(hook.kinds))
    ]
    if deliveries:
        session.execute(insert(Delivery), deliveries)


def add_event(session: Session, kind: str, text: str, severity: str = "info", **data: Any) -> None:
    """Write one event; `rollout_id` and `device_id` among the data are its columns, too."""
    add_events(session, [Entry(kind, text, severity, data.pop("device_id", None), data.get("rollout_id"), data)])


def events(
    session: Session,
    *,
    device: str = "",
    rollout: int | None = None,
    kind: str = "",
    before: int | None = None,
    limit: int = 100,
) -> list[Event]:
    """List events, newest first."""
    query = select(Event).order_by(Event.id.desc()).limit(min(limit, MAX_PAGE))
    if device:
        query = query.where(Event.device_id == select(Device.id).where(Device.name == device).scalar_subquery())
    if rollout is not None:
        query = query.where(Event.rollout_id == rollout)
    if kind:
        query = query.where(Event.kind.startswith(kind, autoescape=True))
    if before is not None:
        query = query.where(Event.id < before)
    return list(session.scalars(query))


def view(event: Event) -> dict[str, Any]:
    """Give an event as JSON."""
    names = ("id", "at_ms", "kind", "severity", "rollout_id", "text", "data")
    return {name: getattr(event, name) for name in names}


def logs(
    session: Session, device: str, *, slot: int | None = None, after: int = 0, limit: int = 200
) -> list[dict[str, Any]]:
    """Give a device's output: what follows record `after`, or the newest; in order."""
    number = select(Device.id).where(Device.name == device).scalar_subquery()
    query = select(LogRecord).where(LogRecord.device_id == number, LogRecord.id > after).limit(min(limit, MAX_PAGE))
    if slot is not None:
        query = query.where(LogRecord.slot == slot)
    query = query.order_by(LogRecord.id if after else LogRecord.id.desc())
    rows = sorted(session.scalars(query), key=lambda row: row.id)
    return [
        {
            "id": row.id,
            "at_ms": row.at_ms,
            "slot": row.slot,
            "stream": row.stream,
            "seq": row.seq,
            "text": text_of(row.data, row.stream, row.slot),
            "line": row.line,
        }
        for row in rows
    ]


def samples(session: Session, device: str, *, slot: int, limit: int = 360) -> list[dict[str, Any]]:
    """Give the newest samples of a slot's counters, in order."""
    number = select(Device.id).where(Device.name == device).scalar_subquery()
    query = select(Sample).where(Sample.device_id == number, Sample.slot == slot)
    rows = session.scalars(query.order_by(Sample.id.desc()).limit(min(limit, MAX_PAGE)))
    return [{"at_ms": row.at_ms, "counters": row.counters} for row in sorted(rows, key=lambda row: row.id)]
