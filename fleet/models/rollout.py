# SPDX-License-Identifier: Apache-2.0
"""Rollouts: one module to many devices, in waves; the device's part in each; the jobs of the twin gate."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.models.base import Base, Id

__all__ = ["Rollout", "RolloutDevice", "TwinJob"]


class Rollout(Base):
    """One rollout; its phases and their transitions are in fleet.machine."""

    __tablename__ = "rollouts"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    phase: Mapped[str] = mapped_column(String(16), index=True)
    reason: Mapped[str] = mapped_column(String(1000), default="")
    """Why it is in this phase: a threshold, a person, the twin gate."""
    digest: Mapped[str] = mapped_column(ForeignKey("artifacts.digest"))
    slot: Mapped[int]
    args: Mapped[list[Any]] = mapped_column(default=list)
    env: Mapped[list[Any]] = mapped_column(default=list)
    filter: Mapped[str] = mapped_column(String(2000))
    plan: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """fleet.plan.Plan as JSON."""
    stage: Mapped[int] = mapped_column(default=0)
    """Index of the wave that is running."""
    stage_ms: Mapped[int] = mapped_column(default=0)
    """Since when."""
    released: Mapped[int] = mapped_column(default=0)
    """Releases of this stage so far, for waves with a rate."""
    forgiven: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What a person saw and went on after: bad and decided devices, and the wave."""
    joined_ms: Mapped[int] = mapped_column(default=0)
    """When devices that match were looked for last."""
    created_by: Mapped[str] = mapped_column(String(64))
    approved_by: Mapped[str] = mapped_column(String(64), default="")
    created_ms: Mapped[int]
    started_ms: Mapped[int | None]
    ended_ms: Mapped[int | None]
    version: Mapped[int] = mapped_column(default=0)
    """Grows with each change: two writers cannot both change the same one."""

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 - SQLAlchemy's own way


class RolloutDevice(Base):
    """One device's part in a rollout: counted once, whatever happens to it."""

    __tablename__ = "rollout_devices"
    __table_args__ = (
        Index("ix_rollout_devices_state", "rollout_id", "state", "wave"),
        Index("ix_rollout_devices_device", "device_id", "state"),
    )

    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    """waiting, updating, checking, succeeded, failed, penalised, returning, returned, skipped: fleet.machine."""
    wave: Mapped[int] = mapped_column(default=-1)
    """Of its first release; -1: not yet."""
    attempts: Mapped[int] = mapped_column(default=0)
    sequence: Mapped[int] = mapped_column(default=0)
    """Of the desired state that this rollout published to it last."""
    released_ms: Mapped[int] = mapped_column(default=0)
    until_ms: Mapped[int] = mapped_column(default=0)
    """Deadline of updating, end of checking, or end of the penalty."""
    starts: Mapped[int] = mapped_column(default=0)
    """The device's counter of starts when checking began."""
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the slot should have run before: digest, size, args, env, name; empty: nothing."""
    error: Mapped[str] = mapped_column(String(1000), default="")
    changed_ms: Mapped[int] = mapped_column(default=0)


class TwinJob(Base):
    """Stage 0: the same signed bytes in the same image under QEMU first."""

    __tablename__ = "twin_jobs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    rollout_id: Mapped[int] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"), index=True)
    digest: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), index=True)
    """waiting, running, passed, failed."""
    worker: Mapped[str] = mapped_column(String(64), default="")
    until_ms: Mapped[int] = mapped_column(default=0)
    """A running job is given to another worker after this."""
    attempts: Mapped[int] = mapped_column(default=0)
    report: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Signed; fleet.twin_report reads it."""
    error: Mapped[str] = mapped_column(String(1000), default="")
    created_ms: Mapped[int]
    ended_ms: Mapped[int | None]
