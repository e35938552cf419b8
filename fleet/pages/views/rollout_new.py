# SPDX-License-Identifier: Apache-2.0
"""The form of a new rollout: what may be chosen, and what it says before somebody changes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fleet import devices
from fleet.models import Artifact
from fleet.plan import Plan

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["rollout_new"]

MODULES = 200


def rollout_new(db: Session, ask: Ask) -> dict[str, Any]:
    """Modules to choose from, and the form's first values."""
    found = list(db.scalars(select(Artifact).order_by(Artifact.created_ms.desc()).limit(MODULES)))
    chosen = ask.query.get("digest", "")
    first = next((row for row in found if row.digest == chosen), found[0] if found else None)
    plan = Plan()
    return {
        "artifacts": [{"digest": row.digest, "name": row.name, "version": row.version} for row in found],
        "matching": devices.count(db, "all"),
        "require_twin": ask.fleet.settings.require_twin,
        "error": "",
        "form": {
            "artifact": first.digest if first else "",
            "name": f"{first.name} {first.version}".strip() if first else "",
            "filter": "all",
            "slot": "0",
            "args": "",
            "waves": "1, 10 %, 100 %",
            "bake_s": "30",
            "per_minute": "0",
            "error_percent": f"{plan.error_percent:g}",
            "success_percent": f"{plan.success_percent:g}",
            "min_samples": str(plan.min_samples),
            "on_error": "rollback",
            "timeout_s": f"{plan.timeout_s:g}",
            "check_s": f"{plan.check_s:g}",
            "penalty_s": f"{plan.penalty_s:g}",
            "attempts": str(plan.attempts),
            "max_in_flight": str(plan.max_in_flight),
            "window_from": "",
            "window_to": "",
            "twin": "on",
            "approval": "on",
            "join": "on",
        },
    }
