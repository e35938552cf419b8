# SPDX-License-Identifier: Apache-2.0
"""Routes of users and tokens."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select

from fleet import access
from fleet.access import Role
from fleet.api.common import Admin, Body, TheFleet, Viewer
from fleet.models import Token, User

__all__ = ["router"]

router = APIRouter(tags=["users"])


class UserBody(Body):
    """A new user."""

    name: Annotated[str, Field(max_length=64)]
    role: str


class UserChange(Body):
    """What to change of a user."""

    role: str | None = None
    disabled: bool | None = None


class TokenBody(Body):
    """A new token."""

    name: Annotated[str, Field(max_length=64)]
    user: str | None = None
    role: str | None = None
    days: Annotated[int, Field(ge=1, le=3650)] | None = None


def _user(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "password": bool(user.password_hash),
        "created_ms": user.created_ms,
        "login_ms": user.login_ms,
    }


@router.get("/me")
def who_am_i(who: Viewer) -> dict[str, str]:
    """Say who the token is."""
    return {"name": who.name, "role": who.role.text}


@router.get("/users")
def list_users(fleet: TheFleet, _who: Admin) -> list[dict[str, Any]]:
    """List users."""
    with fleet.database.read() as session:
        return [_user(user) for user in session.scalars(select(User).order_by(User.name))]


@router.post("/users", status_code=201)
def create_user(fleet: TheFleet, who: Admin, body: UserBody) -> dict[str, Any]:
    """Add a user without a password: the pages set one, or make a token."""
    with fleet.database.write() as session:
        return _user(access.create_user(session, who, body.name, Role.parse(body.role)))


@router.patch("/users/{name}")
def change_user(fleet: TheFleet, who: Admin, name: str, body: UserChange) -> dict[str, Any]:
    """Change role, or disable."""
    role = Role.parse(body.role) if body.role is not None else None
    with fleet.database.write() as session:
        return _user(access.update_user(session, who, name, role=role, disabled=body.disabled))


@router.get("/tokens")
def list_tokens(fleet: TheFleet, who: Viewer) -> list[dict[str, Any]]:
    """List one's own tokens; an admin sees all."""
    query = select(Token, User.name.label("owner")).join(User, User.id == Token.user_id).order_by(Token.id)
    if who.role < Role.ADMIN:
        query = query.where(User.name == who.name)
    with fleet.database.read() as session:
        return [
            {
                "id": row.Token.id,
                "user": row.owner,
                "name": row.Token.name,
                "role": row.Token.role,
                "expires_ms": row.Token.expires_ms,
                "created_ms": row.Token.created_ms,
                "used_ms": row.Token.used_ms,
            }
            for row in session.execute(query)
        ]


@router.post("/tokens", status_code=201)
def create_token(fleet: TheFleet, who: Viewer, body: TokenBody) -> dict[str, str]:
    """Make a token; it is shown once."""
    role = Role.parse(body.role) if body.role is not None else None
    with fleet.database.write() as session:
        user = access.find_user(session, body.user or who.name)
        return {"token": access.create_token(session, who, user, body.name, role, body.days)}


@router.delete("/tokens/{number}", status_code=204)
def revoke_token(fleet: TheFleet, who: Viewer, number: int) -> None:
    """End a token."""
    with fleet.database.write() as session:
        access.revoke_token(session, who, number)
