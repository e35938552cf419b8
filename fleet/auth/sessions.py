# SPDX-License-Identifier: Apache-2.0
"""Browser sessions: kept in the database, so that every worker knows them and any of them can be ended.

A session ends 12 hours after it was last used and 7 days after its login, whichever comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import delete, or_, select, update

from fleet.access import Role
from fleet.auth.password import hash_password, needs_rehash, verify_password
from fleet.auth.secret import csrf_token, digest, new_secret
from fleet.clock import now_ms
from fleet.models import BrowserSession, User

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from fleet.database import Database

__all__ = [
    "IDLE_MS",
    "LIFE_MS",
    "Login",
    "check",
    "end_session",
    "find_session",
    "open_session",
    "sessions_of",
    "touch",
]

IDLE_MS = 12 * 3600 * 1000
LIFE_MS = 7 * 24 * 3600 * 1000
TOUCH_MS = 60_000
"""`seen_ms` is not written more often: a page view must not cost a write."""


@dataclass(frozen=True)
class Login:
    """A live session, as the guard needs it."""

    user: str
    user_id: int
    role: Role
    key: str
    """Of the session in the database; not the secret."""
    csrf: str
    stale: bool
    """`touch` is due."""


def check(database: Database, name: str, password: str) -> User | None:
    """Return the user with that name and password; None for a wrong one, or disabled (nobody learns which).

    Takes a tenth of a second and 64 MiB; holds no database session meanwhile.
    """
    with database.read() as db:
        user = db.scalar(select(User).where(User.name == name))
    right = verify_password(user.password_hash or None if user is not None else None, password)
    if user is None or not right or user.disabled:
        return None
    if needs_rehash(user.password_hash):
        with database.write() as db:
            db.execute(update(User).where(User.id == user.id).values(password_hash=hash_password(password)))
    return user


def open_session(db: Session, user: User, *, address: str) -> str:
    """Open a session of `user` and return its cookie value; sessions that are over are forgotten."""
    now = now_ms()
    over = or_(BrowserSession.seen_ms < now - IDLE_MS, BrowserSession.expires_ms < now)
    db.execute(delete(BrowserSession).where(over))
    db.execute(update(User).where(User.id == user.id).values(login_ms=now))
    secret = new_secret()
    db.add(
        BrowserSession(
            id_hash=digest(secret),
            user_id=user.id,
            csrf=csrf_token(secret),
            created_ms=now,
            seen_ms=now,
            expires_ms=now + LIFE_MS,
            address=address[:64],
        )
    )
    db.flush()
    return secret


def find_session(db: Session, secret: str) -> Login | None:
    """Return who has the cookie value `secret`, if the session lives."""
    now = now_ms()
    row = db.execute(
        select(BrowserSession, User)
        .join(User, User.id == BrowserSession.user_id)
        .where(BrowserSession.id_hash == digest(secret))
    ).one_or_none()
    if row is None:
        return None
    session, user = row
    if session.seen_ms < now - IDLE_MS or session.expires_ms < now or user.disabled:
        return None
    return Login(
        user.name, user.id, Role.parse(user.role), session.id_hash, session.csrf, session.seen_ms < now - TOUCH_MS
    )


def touch(db: Session, key: str) -> None:
    """Note that the session was used."""
    db.execute(update(BrowserSession).where(BrowserSession.id_hash == key).values(seen_ms=now_ms()))


def end_session(db: Session, key: str) -> None:
    """Log out."""
    db.execute(delete(BrowserSession).where(BrowserSession.id_hash == key))


def sessions_of(db: Session, user_id: int) -> Sequence[BrowserSession]:
    """Give the sessions of a user, the last used first."""
    return db.scalars(
        select(BrowserSession).where(BrowserSession.user_id == user_id).order_by(BrowserSession.seen_ms.desc())
    ).all()
