# SPDX-License-Identifier: Apache-2.0
"""The audit log, and whether its chain of hashes is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fleet import audit

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["audit_log"]

PER_PAGE = 100


def audit_log(db: Session, ask: Ask) -> dict[str, Any]:
    """Entries, newest first, by who, what and on what."""
    search = {name: ask.query[name][:256] for name in ("actor", "action", "target") if ask.query.get(name)}
    rows = audit.entries(db, before=ask.number("before"), limit=PER_PAGE, **search)
    verdict = audit.verify(db)
    older = urlencode({**search, "before": rows[-1].id}) if len(rows) == PER_PAGE else ""
    return {
        "chain": {
            "good": verdict.broken is None,
            "count": verdict.count,
            "head": verdict.head,
            "why": verdict.why,
        },
        "entries": [
            {
                "id": row.id,
                "at_ms": row.at_ms,
                "actor": row.actor,
                "action": row.action,
                "target": row.target,
                "detail": row.detail,
                "hash": row.hash,
            }
            for row in rows
        ],
        "older": older,
    }
