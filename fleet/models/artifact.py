# SPDX-License-Identifier: Apache-2.0
"""Artifacts: signed modules by digest (the bytes lie in a folder), and the root documents that say whom to trust."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.models.base import Base, Id

__all__ = ["Artifact", "TrustDocument"]


class Artifact(Base):
    """One module."""

    __tablename__ = "artifacts"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of all its bytes: what desired states and devices speak of."""
    size: Mapped[int]
    file: Mapped[str] = mapped_column(String(256))
    """The file's name where it came from."""
    name: Mapped[str] = mapped_column(String(64), index=True)
    """From the manifest; the file's stem without one."""
    version: Mapped[str] = mapped_column(String(32), default="")
    sequence: Mapped[int] = mapped_column(default=0)
    device_class: Mapped[str] = mapped_column(String(32), default="")
    manifest: Mapped[dict[str, Any]] = mapped_column(default=dict)
    signature: Mapped[str] = mapped_column(String(16))
    """trusted, or unsigned (on a server that allows it): others are refused at upload."""
    key: Mapped[str] = mapped_column(String(64), default="")
    """Id of the key that signed it."""
    view: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the engine says it needs: imports, memories, arena; empty without an engine here."""
    provenance: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Where it comes from: source, commit, builder; as told by the uploader, or by an OCI manifest's annotations."""
    uploaded_by: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int]


class TrustDocument(Base):
    """A root document that this server trusts or trusted; the highest version counts."""

    __tablename__ = "trust_documents"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    version: Mapped[int] = mapped_column(unique=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    installed_by: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int]
