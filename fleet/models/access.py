# SPDX-License-Identifier: Apache-2.0
"""People and programs that may use the server."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from fleet.models.base import Base, Id

__all__ = ["BrowserSession", "Token", "User"]


class User(Base):
    """A person."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(512), default="")
    """Empty: cannot log in with a password."""
    disabled: Mapped[bool] = mapped_column(default=False)
    created_ms: Mapped[int]
    login_ms: Mapped[int | None]


class Token(Base):
    """A secret with which a program acts for a user, at most with the given role."""

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    expires_ms: Mapped[int | None]
    created_ms: Mapped[int]
    used_ms: Mapped[int | None]


class BrowserSession(Base):
    """Somebody logged in with a browser."""

    __tablename__ = "browser_sessions"

    id_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    csrf: Mapped[str] = mapped_column(String(64))
    created_ms: Mapped[int]
    seen_ms: Mapped[int]
    expires_ms: Mapped[int]
    address: Mapped[str] = mapped_column(String(64), default="")
