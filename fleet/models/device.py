# SPDX-License-Identifier: Apache-2.0
"""Devices: who they are, what they reported last, what they should run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from fleet.models.base import Base, Id

__all__ = ["Claim", "DesiredSlot", "Device", "DeviceSlot", "DeviceTag"]


class Device(Base):
    """One device and its agent."""

    __tablename__ = "devices"
    __table_args__ = (
        Index(
            "ix_devices_unpublished",
            "id",
            sqlite_where=text("desired_sequence > published_sequence"),
            postgresql_where=text("desired_sequence > published_sequence"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    """Also its MQTT user name and topic level."""
    serial: Mapped[str | None] = mapped_column(String(128), unique=True)
    status: Mapped[str] = mapped_column(String(16), default="enrolled", index=True)
    """expected (serial known, never came), pending (waits for an operator), enrolled, revoked."""
    key: Mapped[str | None] = mapped_column(String(64))
    """The device's public Ed25519 key, 32 bytes in hexadecimal."""
    password_hash: Mapped[str] = mapped_column(String(256), default="")
    """Of its MQTT password, in the broker's own format."""
    enroll_time_s: Mapped[int] = mapped_column(default=0)
    """Of the last request to enrol, by the agent's clock; an older one, or the same again, is refused."""
    enroll_nonce: Mapped[str] = mapped_column(String(32), default="")
    device_class: Mapped[str] = mapped_column(String(32), default="")
    note: Mapped[str] = mapped_column(String(1000), default="")
    created_ms: Mapped[int]
    enrolled_ms: Mapped[int | None]

    # What its agent reported last.
    online: Mapped[bool] = mapped_column(default=False, index=True)
    link: Mapped[bool] = mapped_column(default=False)
    seen_ms: Mapped[int | None]
    boot: Mapped[str] = mapped_column(String(16), default="")
    """Of the agent's process: reports are counted per boot."""
    report: Mapped[int] = mapped_column(default=0)
    kernel: Mapped[str] = mapped_column(String(64), default="")
    version: Mapped[str] = mapped_column(String(64), default="")
    image: Mapped[str] = mapped_column(String(64), default="")
    """"development" or "release"."""
    arena: Mapped[int] = mapped_column(default=0)
    applied: Mapped[int] = mapped_column(default=0)
    """Sequence of the desired state that it carried out last."""
    accepted: Mapped[int] = mapped_column(default=0)
    errors: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """By slot."""
    progress: Mapped[dict[str, Any]] = mapped_column(default=dict)

    # What it should run: rows of DesiredSlot. The sequence grows with each change and never goes back.
    desired_sequence: Mapped[int] = mapped_column(default=0)
    published_sequence: Mapped[int] = mapped_column(default=0)
    """The last one that the broker acknowledged."""
    penalty_until_ms: Mapped[int] = mapped_column(default=0)
    """No rollout takes it before."""
    failures: Mapped[int] = mapped_column(default=0)
    """In a row, over all rollouts."""

    tags: Mapped[list[DeviceTag]] = relationship(cascade="all, delete-orphan", lazy="raise", order_by="DeviceTag.key")
    slots: Mapped[list[DeviceSlot]] = relationship(
        cascade="all, delete-orphan", lazy="raise", order_by="DeviceSlot.slot"
    )
    desired: Mapped[list[DesiredSlot]] = relationship(
        cascade="all, delete-orphan", lazy="raise", order_by="DesiredSlot.slot"
    )


class DeviceTag(Base):
    """A label of a device; the value may be empty."""

    __tablename__ = "device_tags"
    __table_args__ = (Index("ix_device_tags_key_value", "key", "value"),)

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(256), default="")


class DeviceSlot(Base):
    """A slot as its agent reported it last."""

    __tablename__ = "device_slots"
    __table_args__ = (Index("ix_device_slots_digest_state", "digest", "state"),)

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(default=0)
    starts: Mapped[int] = mapped_column(default=0)
    exit: Mapped[int | None]
    trap: Mapped[str | None] = mapped_column(String(4096))
    error: Mapped[str | None] = mapped_column(String(4096))
    memory: Mapped[int] = mapped_column(default=0)
    bookkeeping: Mapped[int] = mapped_column(default=0)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """The other fields of the report: version, confirmed, candidate, backtrace, budget, counters."""
    changed_ms: Mapped[int]
    """When state, digest or starts changed last."""


class DesiredSlot(Base):
    """What a slot should run."""

    __tablename__ = "desired_slots"

    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    slot: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), index=True)
    size: Mapped[int]
    args: Mapped[list[Any]] = mapped_column(default=list)
    env: Mapped[list[Any]] = mapped_column(default=list)
    name: Mapped[str] = mapped_column(String(256), default="module")


class Claim(Base):
    """A token with which devices may enrol themselves."""

    __tablename__ = "claims"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    note: Mapped[str] = mapped_column(String(1000), default="")
    tags: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Given to devices that come with it."""
    max_uses: Mapped[int] = mapped_column(default=1)
    uses: Mapped[int] = mapped_column(default=0)
    expires_ms: Mapped[int]
    revoked: Mapped[bool] = mapped_column(default=False)
    created_by: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int]
