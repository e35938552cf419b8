# SPDX-License-Identifier: Apache-2.0
"""What happened: events, output of modules, samples of their counters, and the audit log."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.models.base import Base, Id

__all__ = ["AuditEntry", "Event", "LogRecord", "Sample"]


class Event(Base):
    """Something that happened to a device, a rollout or the server; bounded (fleet.retention)."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_device", "device_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at_ms: Mapped[int]
    kind: Mapped[str] = mapped_column(String(64))
    """device.online, rollout.paused, ...: docs/fleet.md lists them."""
    severity: Mapped[str] = mapped_column(String(8), default="info")
    """info, warning, error."""
    device_id: Mapped[int | None] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    rollout_id: Mapped[int | None] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(String(4096))
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)


class LogRecord(Base):
    """A piece of a slot's output; bounded (fleet.retention)."""

    __tablename__ = "log_records"
    __table_args__ = (Index("ix_log_records_device", "device_id", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    at_ms: Mapped[int]
    slot: Mapped[int]
    stream: Mapped[int]
    seq: Mapped[int]
    data: Mapped[bytes] = mapped_column(LargeBinary)
    line: Mapped[bool]


class Sample(Base):
    """Counters of a slot at a time; bounded (fleet.retention)."""

    __tablename__ = "samples"
    __table_args__ = (Index("ix_samples_device", "device_id", "slot", "id"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"))
    at_ms: Mapped[int]
    slot: Mapped[int]
    counters: Mapped[dict[str, Any]] = mapped_column(default=dict)


class AuditEntry(Base):
    """Who did what; each entry holds the hash of the one before (fleet.audit)."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at_ms: Mapped[int]
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64), index=True)
    target: Mapped[str] = mapped_column(String(256))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
