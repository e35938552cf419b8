# SPDX-License-Identifier: Apache-2.0
"""Who may do what: roles, users, tokens, and the check that every route of the API makes.

Roles include the ones before: viewer (reads), operator (devices, artifacts, deployments, rollouts), approver (approves
what another person made), admin (users, tokens of others, trust, webhooks). A token acts for its user, at most with
the role that it was given. Tokens are random 32 bytes; the database holds their SHA-256.

Contract: a request without a valid token or session gets LoginError, one with too low a role DeniedError, before
anything else is looked at. The browser's sessions are the business of the pages: they set `request.state.principal`.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from fastapi import Request  # noqa: TC002 - FastAPI reads the annotation of `check`
from sqlalchemy import func, select, update

from fleet import audit
from fleet.clock import now_ms
from fleet.errors import ConflictError, DeniedError, InvalidError, LoginError, NotFoundError
from fleet.models import BrowserSession, Token, User

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

__all__ = [
    "SYSTEM",
    "Principal",
    "Role",
    "create_token",
    "create_user",
    "needs",
    "public",
    "resolve_token",
    "revoke_token",
    "token_hash",
    "update_user",
]

TOKEN_PREFIX = "wft_"  # noqa: S105 - makes a token in a file recognisable; no secret
TOUCH_MS = 60_000
"""A token's last use is written down at most this often."""
MAX_NAME = 64


class Role(IntEnum):
    """What somebody may do; a higher one may do all that a lower one may."""

    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4

    @classmethod
    def parse(cls, text: str) -> Role:
        """Read a role's name. InvalidError."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise InvalidError(f"role {text!r}: there are viewer, operator, approver, admin") from None

    @property
    def text(self) -> str:
        """The role's name."""
        return self.name.lower()


@dataclass(frozen=True)
class Principal:
    """Who acts."""

    name: str
    role: Role
    user_id: int | None = None

    def must(self, role: Role) -> None:
        """Raise DeniedError if the role is too low."""
        if self.role < role:
            raise DeniedError(f"{self.name} is {self.role.text}: this needs {role.text}")


SYSTEM = Principal("system", Role.ADMIN)
"""The server itself: the rollout engine, the twin gate."""


def token_hash(token: str) -> str:
    """Hash a secret of 32 random bytes for the database."""
    return hashlib.sha256(token.encode()).hexdigest()


def _check_user_name(name: str) -> str:
    if not name or len(name) > MAX_NAME or not all(c.isalnum() or c in "._-@" for c in name) or not name.isascii():
        raise InvalidError(f"user name {name!r:.80}: use letters, digits, '.', '_', '-', '@', at most {MAX_NAME}")
    if name == SYSTEM.name:
        raise InvalidError(f"user name {name!r} is the server's own")
    return name


def create_user(session: Session, principal: Principal, name: str, role: Role, password_hash: str = "") -> User:
    """Add a user; without a password hash only tokens work."""
    principal.must(Role.ADMIN)
    _check_user_name(name)
    if session.scalar(select(User.id).where(User.name == name)) is not None:
        raise ConflictError(f"user {name!r} exists")
    user = User(name=name, role=role.text, password_hash=password_hash, created_ms=now_ms())
    session.add(user)
    session.flush()
    audit.append(session, principal, "user.create", name, {"role": role.text})
    return user


def find_user(session: Session, name: str) -> User:
    """Give a user. NotFoundError."""
    user = session.scalar(select(User).where(User.name == name))
    if user is None:
        raise NotFoundError(f"user {name!r:.80}: there is none")
    return user


def update_user(
    session: Session,
    principal: Principal,
    name: str,
    *,
    role: Role | None = None,
    disabled: bool | None = None,
    password_hash: str | None = None,
) -> User:
    """Change a user; whoever is changed is logged out. The last active admin stays one."""
    user = find_user(session, name)
    own_password = password_hash is not None and role is None and disabled is None and principal.name == name
    if not own_password:
        principal.must(Role.ADMIN)
    loses = (role is not None and role < Role.ADMIN) or disabled
    if loses and user.role == Role.ADMIN.text and not user.disabled:
        query = select(func.count()).select_from(User).where(User.role == Role.ADMIN.text, User.disabled.is_(False))
        if (session.scalar(query) or 0) <= 1:
            raise ConflictError(f"user {name!r} is the last admin: make another one first")
    if role is not None:
        user.role = role.text
    if disabled is not None:
        user.disabled = disabled
    if password_hash is not None:
        user.password_hash = password_hash
    session.query(BrowserSession).where(BrowserSession.user_id == user.id).delete()
    detail = {"role": user.role, "disabled": user.disabled, "password": password_hash is not None}
    audit.append(session, principal, "user.update", name, detail)
    return user


def create_token(
    session: Session, principal: Principal, user: User, name: str, role: Role | None = None, days: int | None = None
) -> str:
    """Make a token for a user and give it: it cannot be read again."""
    if principal.name != user.name:
        principal.must(Role.ADMIN)
    own = Role.parse(user.role)
    given = role or own
    if given > own:
        raise DeniedError(f"{user.name} is {own.text}: a token of theirs cannot be {given.text}")
    if principal.name == user.name and given > principal.role:
        raise DeniedError(f"a token cannot be {given.text}: you act as {principal.role.text}")
    secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = Token(user_id=user.id, name=name[:MAX_NAME], token_hash=token_hash(secret), role=given.text)
    row.created_ms = now_ms()
    row.expires_ms = row.created_ms + days * 86_400_000 if days else None
    session.add(row)
    session.flush()
    audit.append(session, principal, "token.create", user.name, {"name": row.name, "role": row.role, "id": row.id})
    return secret


def revoke_token(session: Session, principal: Principal, number: int) -> None:
    """End a token."""
    row = session.get(Token, number)
    owner = session.get(User, row.user_id) if row else None
    if row is None or owner is None or (owner.name != principal.name and principal.role < Role.ADMIN):
        raise NotFoundError(f"token {number}: there is none")
    session.delete(row)
    audit.append(session, principal, "token.revoke", owner.name, {"name": row.name, "id": number})


def resolve_token(session: Session, token: str) -> Principal:
    """Give who acts with a token. LoginError."""
    row = session.execute(
        select(Token, User).join(User, User.id == Token.user_id).where(Token.token_hash == token_hash(token))
    ).first()
    now = now_ms()
    if row is None or row.User.disabled or (row.Token.expires_ms is not None and row.Token.expires_ms < now):
        raise LoginError("the token is unknown, expired, or its user is disabled")
    role = min(Role.parse(row.Token.role), Role.parse(row.User.role))
    return Principal(row.User.name, role, row.User.id)


def touch_token(session: Session, token: str) -> None:
    """Write down that a token was used."""
    session.execute(update(Token).where(Token.token_hash == token_hash(token)).values(used_ms=now_ms()))


def _principal(request: Request) -> Principal:
    principal = getattr(request.state, "principal", None)
    if isinstance(principal, Principal):
        return principal
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise LoginError("log in, or send a token as 'Authorization: Bearer ...'")
    fleet: Any = request.app.state.fleet
    with fleet.database.read() as session:
        return resolve_token(session, token.strip())


def needs(role: Role) -> Callable[[Request], Principal]:
    """Make the dependency of a route: whoever asks must have this role."""

    def check(request: Request) -> Principal:
        principal = _principal(request)
        principal.must(role)
        return principal

    vars(check)["role"] = role  # tests ask every route for it
    return check


def public() -> None:
    """Mark a route that takes no login: every route declares `needs(...)` or this (fleet.auth.guard)."""


vars(public)["role"] = None  # as for `needs`
