# SPDX-License-Identifier: Apache-2.0
"""Events: what happened to devices, rollouts and the server, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fleet.models import Device, Event

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

__all__ = ["latest"]


def latest(
    db: Session, limit: int, *, device_id: int | None = None, rollout_id: int | None = None
) -> list[dict[str, Any]]:
    """Give the last events, of one device or rollout if named."""
    query = select(Event, Device.name).outerjoin(Device, Device.id == Event.device_id)
    if device_id is not None:
        query = query.where(Event.device_id == device_id)
    if rollout_id is not None:
        query = query.where(Event.rollout_id == rollout_id)
    return [
        {
            "id": event.id,
            "at_ms": event.at_ms,
            "kind": event.kind,
            "severity": event.severity,
            "device": name if device_id is None else None,
            "rollout": event.rollout_id,
            "text": event.text,
        }
        for event, name in db.execute(query.order_by(Event.id.desc()).limit(limit))
    ]
