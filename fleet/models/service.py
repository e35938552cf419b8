# SPDX-License-Identifier: Apache-2.0
"""What the server keeps for itself and for other programs: leases and webhooks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.models.base import Base, Id

__all__ = ["Delivery", "Lease", "Webhook"]


class Lease(Base):
    """A role that one worker has until a time."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    until_ms: Mapped[int]
    epoch: Mapped[int]
    """Grows with each change of the holder."""


class Webhook(Base):
    """A program that wants to be told of events."""

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    url: Mapped[str] = mapped_column(String(2000))
    kinds: Mapped[list[Any]] = mapped_column(default=list)
    """Prefixes of event kinds; none: all."""
    secret: Mapped[str] = mapped_column(String(128))
    enabled: Mapped[bool] = mapped_column(default=True)
    failures: Mapped[int] = mapped_column(default=0)
    created_by: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int]


class Delivery(Base):
    """One event on its way to one webhook."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "state", "next_ms"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"), index=True)
    body: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    """waiting, delivered, dropped."""
    attempts: Mapped[int] = mapped_column(default=0)
    next_ms: Mapped[int]
    answer: Mapped[str] = mapped_column(String(200), default="")
    """HTTP status or error of the last attempt."""
    created_ms: Mapped[int]
