# SPDX-License-Identifier: Apache-2.0
"""Artifacts, and of each the way from its source to the digest that devices measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from fleet import artifacts
from fleet.models import DesiredSlot, Device, DeviceSlot, Rollout, TwinJob

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.models import Artifact
    from fleet.pages.site import Ask

__all__ = ["artifact", "artifact_list"]

PER_PAGE = 50
DEVICES = 60


def artifact_list(db: Session, ask: Ask) -> dict[str, Any]:
    """Artifacts, newest first, with how many devices run them."""
    offset = ask.number("offset", 0) or 0
    found, total = artifacts.list_artifacts(db, name=ask.query.get("name", ""), limit=PER_PAGE, offset=offset)
    digests = [row.digest for row in found]
    running = dict(
        db.execute(
            select(DeviceSlot.digest, func.count()).where(DeviceSlot.digest.in_(digests)).group_by(DeviceSlot.digest)
        ).all()
    )
    return {
        "total": total,
        "offset": offset,
        "more": offset + PER_PAGE if offset + PER_PAGE < total else None,
        "artifacts": [
            {
                "digest": row.digest,
                "name": row.name,
                "version": row.version,
                "sequence": row.sequence,
                "size": row.size,
                "signature": row.signature,
                "key": row.key,
                "uploaded_by": row.uploaded_by,
                "created_ms": row.created_ms,
                "devices": running.get(row.digest, 0),
            }
            for row in found
        ],
    }


def artifact(db: Session, ask: Ask) -> dict[str, Any]:
    """A module: its manifest, what it needs, where it comes from, who measured it."""
    found = artifacts.find(db, ask.path["digest"])
    rollouts = list(db.scalars(select(Rollout).where(Rollout.digest == found.digest).order_by(Rollout.id.desc())))
    measured = _measured(db, found)
    return {
        "artifact": artifacts.view(found),
        "chain": _chain(db, found, measured),
        "measured": measured,
        "rollouts": [
            {"id": row.id, "name": row.name, "phase": row.phase, "created_ms": row.created_ms} for row in rollouts
        ],
    }


def _measured(db: Session, found: Artifact) -> dict[str, Any]:
    """Tell which devices hold these very bytes: each computed the digest itself, from what it keeps."""
    query = (
        select(Device.name, DeviceSlot.slot, DeviceSlot.state, DeviceSlot.changed_ms)
        .join(Device, Device.id == DeviceSlot.device_id)
        .where(DeviceSlot.digest == found.digest)
    )
    wanted = select(func.count()).select_from(DesiredSlot).where(DesiredSlot.digest == found.digest)
    return {
        "count": db.scalar(select(func.count()).select_from(query.subquery())) or 0,
        "wanted": db.scalar(wanted) or 0,
        "devices": [
            {"name": name, "slot": slot, "state": state, "since_ms": since_ms}
            for name, slot, state, since_ms in db.execute(query.order_by(Device.name).limit(DEVICES))
        ],
    }


def _chain(db: Session, found: Artifact, measured: dict[str, Any]) -> list[dict[str, Any]]:
    """Give the steps from source to device: `sure` is ok (checked), told (somebody said so), none or bad."""
    told = found.provenance
    twin = db.scalar(
        select(TwinJob).where(TwinJob.digest == found.digest, TwinJob.report.is_not(None)).order_by(TwinJob.id.desc())
    )
    source = [
        ("Repository", told.get("source", "")),
        ("Commit", told.get("commit", "")),
        ("Branch", told.get("branch", "")),
    ]
    build = [("Builder", told.get("builder", "")), ("Build", told.get("build", "")), ("Built", told.get("created", ""))]
    bytes_ = [
        ("SHA-256", found.digest),
        ("Size", f"{found.size} bytes"),
        ("File", found.file),
        ("From", told.get("reference", "")),
    ]
    steps = [
        _step(
            "Source", "told" if any(v for _, v in source) else "none", source, "said at the upload; nobody checked it"
        ),
        _step("Build", "told" if any(v for _, v in build) else "none", build, "said at the upload; nobody checked it"),
        _step("Bytes", "ok", bytes_, f"computed by this server when {found.uploaded_by} uploaded them"),
    ]
    if found.signature == "trusted":
        signed = [("Key", found.key), ("Sequence", str(found.sequence)), ("Version", found.version)]
        steps.append(
            _step(
                "Signature", "ok", signed, "Ed25519 over all bytes, checked by this server; each device checks it again"
            )
        )
    else:
        steps.append(_step("Signature", "none", [], "unsigned: only development images run it"))
    if twin is None:
        steps.append(_step("Twin", "none", [], "never ran in the twin gate"))
    else:
        facts = [("Result", twin.state), ("Reason", twin.error)]
        sure = "ok" if twin.state == "passed" else "bad"
        steps.append(_step("Twin", sure, facts, "ran in the same image under QEMU; the report is signed"))
    count = measured["count"]
    facts = [("Devices", f"{count} report this digest"), ("Wanted", f"by {measured['wanted']}")]
    steps.append(
        _step(
            "Devices", "ok" if count else "none", facts, "each device computes the digest from the bytes that it keeps"
        )
    )
    return steps


def _step(title: str, sure: str, facts: list[tuple[str, str]], how: str) -> dict[str, Any]:
    return {
        "title": title,
        "sure": sure,
        "facts": [{"name": name, "value": value} for name, value in facts if value],
        "how": how,
    }
