# SPDX-License-Identifier: Apache-2.0
"""Routes of the audit log."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from fleet import audit
from fleet.api.common import Limit, TheFleet, Viewer

__all__ = ["router"]

router = APIRouter(tags=["audit"])


@router.get("/audit")
def list_entries(
    fleet: TheFleet,
    _who: Viewer,
    before: int | None = None,
    limit: Limit = 100,
    actor: str = "",
    action: str = "",
    target: str = "",
) -> list[dict[str, Any]]:
    """List entries, newest first; `before` is the lowest id of the page before."""
    with fleet.database.read() as session:
        rows = audit.entries(session, before=before, limit=limit, actor=actor, action=action, target=target)
        return [
            {
                "id": row.id,
                "at_ms": row.at_ms,
                "actor": row.actor,
                "action": row.action,
                "target": row.target,
                "detail": row.detail,
                "previous": row.previous,
                "hash": row.hash,
            }
            for row in rows
        ]


@router.get("/audit/head")
def read_head(fleet: TheFleet, _who: Viewer) -> dict[str, Any]:
    """Give number and hash of the last entry: note them elsewhere."""
    with fleet.database.read() as session:
        count, digest = audit.head(session)
    return {"count": count, "head": digest}


@router.get("/audit/verify")
def verify(fleet: TheFleet, _who: Viewer, expect: str | None = None) -> dict[str, Any]:
    """Check the whole chain; `expect` is a hash noted earlier."""
    with fleet.database.read() as session:
        verdict = audit.verify(session, expect)
    return {
        "good": verdict.broken is None,
        "count": verdict.count,
        "head": verdict.head,
        "broken": verdict.broken,
        "why": verdict.why,
    }
