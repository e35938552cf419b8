# SPDX-License-Identifier: Apache-2.0
"""Forms of one's own account: password, tokens, sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlalchemy import delete

from fleet import access, audit
from fleet.access import Role
from fleet.api.common import TheFleet, Viewer
from fleet.auth import sessions
from fleet.auth.password import check_password, hash_password
from fleet.errors import DeniedError, FleetError, InvalidError
from fleet.models import BrowserSession
from fleet.pages.site import Ask
from fleet.pages.views.users import account

if TYPE_CHECKING:
    from fleet.access import Principal
    from fleet.context import Fleet
    from fleet.pages.site import Site

__all__ = ["router"]

router = APIRouter()
Text = Annotated[str, Form(max_length=300)]


def _page(request: Request, fleet: Fleet, who: Principal, *, made: str = "", error: str = "") -> Response:
    site: Site = request.app.state.site
    with fleet.database.read() as db:
        data = account(db, Ask(fleet, who))
    return site.render(request, "account.html", {**data, "made": made, "error": error}, status=422 if error else 200)


@router.post("/account/password")
def change_password(request: Request, fleet: TheFleet, who: Viewer, old: Text, new: Text) -> Response:
    """Change one's own password; all sessions end."""
    try:
        if sessions.check(fleet.database, who.name, old) is None:
            raise DeniedError("the current password is wrong")
        check_password(new, who.name)
        hashed = hash_password(new)
        with fleet.database.write() as db:
            access.update_user(db, who, who.name, password_hash=hashed)
    except FleetError as error:
        return _page(request, fleet, who, error=str(error))
    return RedirectResponse("/login", 303)


@router.post("/account/tokens")
def make_token(request: Request, fleet: TheFleet, who: Viewer, name: Text, role: Text, days: Text) -> Response:
    """Make a token and show it, once."""
    if not name.strip():
        raise InvalidError("a token needs a name that says what it is for")
    if not (days.isascii() and days.isdigit() and int(days) <= 3650):  # noqa: PLR2004 - ten years
        raise InvalidError("days: a number up to 3650; 0 for never")
    with fleet.database.write() as db:
        user = access.find_user(db, who.name)
        made = access.create_token(db, who, user, name, Role.parse(role), int(days) or None)
    return _page(request, fleet, who, made=made)


@router.post("/account/tokens/{number}/revoke")
def revoke_token(fleet: TheFleet, who: Viewer, number: int) -> Response:
    """End a token."""
    with fleet.database.write() as db:
        access.revoke_token(db, who, number)
    return RedirectResponse("/account", 303)


@router.post("/account/sessions/end")
def end_sessions(fleet: TheFleet, who: Viewer) -> Response:
    """Log out everywhere."""
    with fleet.database.write() as db:
        user = access.find_user(db, who.name)
        db.execute(delete(BrowserSession).where(BrowserSession.user_id == user.id))
        audit.append(db, who, "logout.everywhere", who.name)
    return RedirectResponse("/login", 303)
