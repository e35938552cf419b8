# SPDX-License-Identifier: Apache-2.0
"""The fleet at a glance, in a few statements however many devices there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import String, case, cast, func, select

from fleet.devices import BROKEN
from fleet.models import Artifact, Device, DeviceSlot, Rollout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session
    from sqlalchemy.sql import ColumnElement

__all__ = ["counts", "state_column", "state_map"]

MOST_MODULES = 50


def state_column() -> ColumnElement[str]:
    """Give `fleet.devices.state_of` as SQL (a test holds them against one another)."""
    broken = (
        select(DeviceSlot.device_id)
        .where(DeviceSlot.device_id == Device.id, DeviceSlot.state.in_(BROKEN))
        .correlate(Device)
        .exists()
    )
    return case(
        (Device.status != "enrolled", Device.status),
        (Device.online.is_(False), "offline"),
        (cast(Device.errors, String).notin_(("{}", "null")) | broken, "failing"),
        (Device.link.is_(False), "unreachable"),
        (Device.desired_sequence > Device.applied, "updating"),
        else_="good",
    )


def counts(session: Session) -> dict[str, Any]:
    """Count devices by state, running modules, rollouts by phase."""
    state = state_column().label("state")
    states = session.execute(select(state, func.count()).group_by(state))
    modules = session.execute(
        select(
            DeviceSlot.slot,
            DeviceSlot.digest,
            func.max(Artifact.name),
            func.max(Artifact.version),
            func.count(),
            func.sum(case((DeviceSlot.state.in_(BROKEN), 1), else_=0)),
        )
        .outerjoin(Artifact, Artifact.digest == DeviceSlot.digest)
        .where(DeviceSlot.digest.is_not(None))
        .group_by(DeviceSlot.slot, DeviceSlot.digest)
        .order_by(func.count().desc())
        .limit(MOST_MODULES)
    )
    phases = session.execute(select(Rollout.phase, func.count()).group_by(Rollout.phase))
    by_state = dict(states.all())
    return {
        "devices": sum(by_state.values()),
        "states": by_state,
        "modules": [
            {
                "slot": slot,
                "digest": digest,
                "name": name or "",
                "version": version or "",
                "devices": many,
                "failing": int(failing or 0),
            }
            for slot, digest, name, version, many, failing in modules
        ],
        "rollouts": dict(phases.all()),
        "artifacts": session.scalar(select(func.count()).select_from(Artifact)) or 0,
    }


def state_map(session: Session) -> dict[str, str]:
    """Give the state of every device by name, in the names' order.

    The database puts it together: Python gives its lock away for each row, and a busy server gets it back late.
    """
    together = func.json_group_object if session.get_bind().dialect.name == "sqlite" else func.json_object_agg
    text = session.scalar(select(cast(together(Device.name, state_column()), String)))
    return dict(sorted(json.loads(text or "{}").items()))
