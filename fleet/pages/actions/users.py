# SPDX-License-Identifier: Apache-2.0
"""An admin's forms for users."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import select

from fleet import access
from fleet.access import Role
from fleet.api.common import Admin, TheFleet
from fleet.auth.password import check_password, hash_password
from fleet.models import User

__all__ = ["router"]

router = APIRouter()
Text = Annotated[str, Form(max_length=300)]


@router.post("/users")
def save_user(fleet: TheFleet, who: Admin, name: Text, role: Text, password: Text) -> Response:
    """Make a user, or give one who exists another password and role."""
    check_password(password, name)
    hashed = hash_password(password)
    with fleet.database.write() as db:
        if db.scalar(select(User.id).where(User.name == name)) is None:
            access.create_user(db, who, name, Role.parse(role), hashed)
        else:
            access.update_user(db, who, name, role=Role.parse(role), password_hash=hashed)
    return RedirectResponse("/users", 303)


@router.post("/users/{name}/role")
def set_role(fleet: TheFleet, who: Admin, name: str, role: Text) -> Response:
    """Give a user another role."""
    with fleet.database.write() as db:
        access.update_user(db, who, name, role=Role.parse(role))
    return RedirectResponse("/users", 303)


@router.post("/users/{name}/disable")
def disable(fleet: TheFleet, who: Admin, name: str) -> Response:
    """Keep a user out."""
    with fleet.database.write() as db:
        access.update_user(db, who, name, disabled=True)
    return RedirectResponse("/users", 303)


@router.post("/users/{name}/enable")
def enable(fleet: TheFleet, who: Admin, name: str) -> Response:
    """Let a user in again."""
    with fleet.database.write() as db:
        access.update_user(db, who, name, disabled=False)
    return RedirectResponse("/users", 303)
