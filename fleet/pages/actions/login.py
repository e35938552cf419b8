# SPDX-License-Identifier: Apache-2.0
"""Login, logout, and the first admin's set-up: the only forms without a login.

Tries are limited by address and by name and address together; somebody else's wrong tries elsewhere don't lock a user
out. Passwords are checked one at a time (64 MiB each).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from fleet import audit
from fleet.access import Principal, Role, needs
from fleet.auth import sessions, setup
from fleet.auth.guard import cookie_name, public_form, visitor_cookie
from fleet.auth.rate_limit import Limiter
from fleet.auth.secret import csrf_token, digest, new_secret
from fleet.errors import FleetError, InvalidError

if TYPE_CHECKING:
    from fleet.context import Fleet
    from fleet.pages.site import Site

__all__ = ["Tries", "local", "router"]

router = APIRouter()
Text = Annotated[str, Form(max_length=300)]
_hashing = threading.Lock()


class Tries:
    """Limits of one server process."""

    def __init__(self) -> None:
        self.by_address = Limiter(rate_per_s=1 / 10, burst=30)
        self.by_name = Limiter(rate_per_s=1 / 30, burst=8)


def _tries(request: Request) -> Tries:
    state = request.app.state
    if not hasattr(state, "login_tries"):
        state.login_tries = Tries()
    tries: Tries = state.login_tries
    return tries


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def _fleet(request: Request) -> Fleet:
    fleet: Fleet = request.app.state.fleet
    return fleet


def _form(request: Request, template: str, data: dict[str, Any], status: int = 200) -> Response:
    """Show a form to who has no login, with a CSRF token bound to a cookie of this browser."""
    fresh = None
    if not request.state.csrf:
        fresh = new_secret()
        request.state.csrf = csrf_token(fresh)
    response = _site(request).render(request, template, data, status=status)
    if fresh is not None:
        _set_cookie(request, response, visitor_cookie(request.url.scheme), fresh, 3600)
    return response


def _set_cookie(request: Request, response: Response, name: str, value: str, max_age_s: int) -> None:
    secure = request.url.scheme == "https"
    response.set_cookie(name, value, max_age=max_age_s, path="/", secure=secure, httponly=True, samesite="lax")


def _enter(request: Request, secret: str, target: str) -> Response:
    response = RedirectResponse(target, 303)
    _set_cookie(request, response, cookie_name(request.url.scheme), secret, sessions.LIFE_MS // 1000)
    response.delete_cookie(visitor_cookie(request.url.scheme), path="/")
    return response


def local(target: str) -> str:
    """Return `target` if it is a place of this site, else the front page."""
    parts = urlsplit(target)
    is_local = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_local and target.isprintable() and "\\" not in target else "/"


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


@router.get("/login", dependencies=[Depends(public_form)])
def show_login(request: Request, next: str = "/") -> Response:  # noqa: A002 - the query's name
    """Ask for name and password."""
    if request.state.principal is not None:
        return RedirectResponse(local(next), 303)
    return _form(request, "login.html", {"next": local(next), "name": "", "error": ""})


@router.post("/login", dependencies=[Depends(public_form)])
def log_in(request: Request, name: Text, password: Text, next: Text = "/") -> Response:  # noqa: A002
    """Open a session."""
    tries = _tries(request)
    address = _address(request)
    wait_s = max(tries.by_address.take(address), tries.by_name.take((name, address)))
    if wait_s > 0:
        raise HTTPException(429, "too many tries: wait a little", {"Retry-After": str(int(wait_s) + 1)})
    fleet = _fleet(request)
    with _hashing:
        user = sessions.check(fleet.database, name, password)
    with fleet.database.write() as db:
        if user is None:
            audit.append(db, Principal("nobody", Role.VIEWER), "login.failed", name[:64], {"address": address})
            secret = None
        else:
            secret = sessions.open_session(db, user, address=address)
            audit.append(db, Principal(user.name, Role.parse(user.role)), "login", user.name, {"address": address})
    if secret is None:
        data = {"next": local(next), "name": name, "error": "Name or password is wrong."}
        return _form(request, "login.html", data, 403)
    return _enter(request, secret, local(next))


@router.post("/logout", dependencies=[Depends(needs(Role.VIEWER))])
def log_out(request: Request) -> Response:
    """End the session."""
    name = cookie_name(request.url.scheme)
    secret = request.cookies.get(name, "")
    with _fleet(request).database.write() as db:
        sessions.end_session(db, digest(secret))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(name, path="/")
    return response


@router.get("/setup", dependencies=[Depends(public_form)])
def show_setup(request: Request, token: str = "") -> Response:
    """Ask for the first admin's name and password."""
    fleet = _fleet(request)
    with fleet.database.read() as db:
        valid = setup.setup_open(db, fleet.settings.data, token[:200])
    data = {"token_value": token[:200] if valid else "", "name": "", "error": "", "valid": valid}
    return _form(request, "setup.html", data, 200 if valid else 403)


@router.post("/setup", dependencies=[Depends(public_form)])
def set_up(request: Request, token: Text, name: Text, password: Text, repeated: Text) -> Response:
    """Make the first admin and open a session."""
    if (wait_s := _tries(request).by_address.take(_address(request))) > 0:
        raise HTTPException(429, "too many tries: wait a little", {"Retry-After": str(int(wait_s) + 1)})
    fleet = _fleet(request)
    try:
        if password != repeated:
            raise InvalidError("the two passwords differ")
        with _hashing, fleet.database.write() as db:
            user = setup.make_first_admin(db, fleet.settings.data, token, name, password)
            secret = sessions.open_session(db, user, address=_address(request))
    except FleetError as error:
        with fleet.database.read() as db:
            valid = setup.setup_open(db, fleet.settings.data, token)
        data = {"token_value": token if valid else "", "name": name, "error": f"{error}", "valid": valid}
        return _form(request, "setup.html", data, 403)
    return _enter(request, secret, "/")
