# SPDX-License-Identifier: Apache-2.0
"""Users for the admin; one's own account for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from fleet.access import Role
from fleet.auth.sessions import sessions_of
from fleet.models import Token, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.pages.site import Ask

__all__ = ["account", "users"]


def users(db: Session, _ask: Ask) -> dict[str, Any]:
    """All users."""
    rows = db.scalars(select(User).order_by(User.name))
    return {
        "roles": [role.text for role in Role],
        "users": [
            {
                "name": row.name,
                "role": row.role,
                "disabled": row.disabled,
                "password": bool(row.password_hash),
                "created_ms": row.created_ms,
                "login_ms": row.login_ms,
            }
            for row in rows
        ],
    }


def account(db: Session, ask: Ask) -> dict[str, Any]:
    """The tokens and sessions of who asks."""
    user_id = db.scalar(select(User.id).where(User.name == ask.who.name))
    tokens = db.scalars(select(Token).where(Token.user_id == user_id).order_by(Token.id))
    sessions = sessions_of(db, user_id) if user_id is not None else ()
    return {
        "roles": [role.text for role in Role if role <= ask.who.role],
        "made": "",
        "error": "",
        "tokens": [
            {
                "id": row.id,
                "name": row.name,
                "role": row.role,
                "created_ms": row.created_ms,
                "used_ms": row.used_ms,
                "expires_ms": row.expires_ms,
            }
            for row in tokens
        ],
        "sessions": [
            {"address": row.address, "created_ms": row.created_ms, "seen_ms": row.seen_ms} for row in sessions
        ],
    }
