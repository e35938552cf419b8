# SPDX-License-Identifier: Apache-2.0
"""The first admin: whoever has the server's one-time address may make that account, once, within a day.

There is no default password. The server prints the address at its start while no admin can log in; a new one voids the
former. What is kept is its hash, in the file `setup-token` of the server's data folder, which all workers share.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sqlalchemy import select

from agent.files import replace_file
from fleet.access import SYSTEM, Role, create_user, update_user
from fleet.auth.password import check_password, hash_password
from fleet.auth.secret import digest, new_secret, same
from fleet.clock import now_ms
from fleet.errors import DeniedError
from fleet.models import User

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

__all__ = ["LIFE_MS", "any_login", "first_address", "make_first_admin", "setup_open"]

LIFE_MS = 24 * 3600 * 1000


def _file(data: Path) -> Path:
    return data / "setup-token"


def any_login(db: Session) -> bool:
    """Whether an admin can log in with a password."""
    admins = select(User.id).where(User.role == Role.ADMIN.text, User.disabled.is_(False), User.password_hash != "")
    return db.scalar(admins.limit(1)) is not None


def first_address(db: Session, data: Path, base_url: str) -> str | None:
    """Return the address at which the first admin is made, or None if an admin can log in."""
    if any_login(db):
        return None
    token = new_secret()
    kept = json.dumps({"sha256": digest(token), "expires_ms": now_ms() + LIFE_MS})
    replace_file(_file(data), kept.encode())
    _file(data).chmod(0o600)
    return f"{base_url.rstrip('/')}/setup?token={token}"


def setup_open(db: Session, data: Path, token: str) -> bool:
    """Whether `token` would be taken now."""
    try:
        kept = json.loads(_file(data).read_bytes())
    except FileNotFoundError:
        return False
    return same(kept["sha256"], digest(token)) and kept["expires_ms"] > now_ms() and not any_login(db)


def make_first_admin(db: Session, data: Path, token: str, name: str, password: str) -> User:
    """Use up `token`; DeniedError where it is wrong, old, or there is an admin."""
    if not setup_open(db, data, token):
        raise DeniedError("this set-up address is not valid (any more): start the server again for a new one")
    check_password(password, name)
    known = db.scalar(select(User).where(User.name == name))
    if known is None:
        user = create_user(db, SYSTEM, name, Role.ADMIN, hash_password(password))
    elif known.role == Role.ADMIN.text and not known.password_hash:  # made by `wasel fleet bootstrap`
        user = update_user(db, SYSTEM, name, password_hash=hash_password(password))
    else:
        raise DeniedError(f"there is a user {name} already: choose another name")
    _file(data).unlink(missing_ok=True)
    return user
