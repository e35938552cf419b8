# SPDX-License-Identifier: Apache-2.0
"""How devices come: claim tokens, expected serials, and those that wait to be accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fleet import enrolment
from fleet.clock import now_ms
from fleet.models import Device

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["devices"]


def devices(db: Session, _ask: Ask) -> dict[str, Any]:
    """Claim tokens (never the tokens themselves) and devices that aren't enrolled yet."""
    now = now_ms()
    waiting = db.scalars(select(Device).where(Device.status.in_(("pending", "expected"))).order_by(Device.name))
    return {
        "made": "",
        "base": "",
        "claims": [
            {
                "id": row.id,
                "note": row.note,
                "tags": row.tags,
                "uses": row.uses,
                "max_uses": row.max_uses,
                "expires_ms": row.expires_ms,
                "created_by": row.created_by,
                "open": not row.revoked and row.expires_ms > now and row.uses < row.max_uses,
            }
            for row in enrolment.list_claims(db)[:50]
        ],
        "waiting": [
            {"name": row.name, "serial": row.serial, "key": row.key, "status": row.status, "created_ms": row.created_ms}
            for row in waiting
        ],
    }
