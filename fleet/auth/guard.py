# SPDX-License-Identifier: Apache-2.0
"""The gate in front of every route: login, role, CSRF, rate limit, in this order, before the body is read.

Each route declares a role through its dependencies, `needs(Role.X)`, or `public` (fleet.access); `install` refuses to
start a server that has a route without one. It takes the place of the route's own `handle`, so that what is guarded is
what runs: there is no second matching of paths that could disagree with the router's.

* Who asks: `Authorization: Bearer` names an API token, otherwise the cookie names a browser session.
* CSRF: a request with a session that isn't GET or HEAD needs the session's token in the header X-CSRF-Token or in the
  form's field `csrf`, and may not say that another site sent it (Sec-Fetch-Site, Origin). Forms of pages that need no
  login (login, set-up) have the same with a cookie that knows nobody.
* Rate: by user, by address without login, and much less for who comes with wrong credentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from fastapi.routing import iter_route_contexts
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse

from fleet.access import Principal, resolve_token
from fleet.auth import form
from fleet.auth.rate_limit import Limiter
from fleet.auth.secret import csrf_token, same
from fleet.auth.sessions import find_session, touch
from fleet.errors import LoginError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send

    from fleet.access import Role
    from fleet.database import Database

__all__ = ["Guard", "UndeclaredRouteError", "cookie_name", "declared", "public_form", "routes", "visitor_cookie"]

SAFE_METHODS = frozenset({"GET", "HEAD"})
_MAX_SECRET = 200
"""Characters of a cookie or token that are looked at."""


class UndeclaredRouteError(RuntimeError):
    """A route says nothing of who may use it."""


@dataclass(frozen=True)
class Declared:
    """What a route says of itself; `role` None: for everybody. `form`: needs a CSRF token without login, too."""

    role: Role | None
    form: bool = False


def public_form() -> None:
    """Mark a route of a form for who has no login yet: anybody, but with a CSRF token."""


vars(public_form)["role"] = None  # as for `needs`
vars(public_form)["form"] = True


def cookie_name(scheme: str) -> str:
    """Of the session; `__Host-` where a browser takes it: only this host, only over TLS, for all paths."""
    return "__Host-wasel" if scheme == "https" else "wasel"


def visitor_cookie(scheme: str) -> str:
    """Of who has no login yet: binds the forms of login and set-up to this browser."""
    return cookie_name(scheme) + "-visitor"


def routes(app: FastAPI) -> Iterator[tuple[Any, str, frozenset[str], Declared | None]]:
    """Each route: the object that handles it, its path, its methods, what it declares."""
    for context in iter_route_contexts(app.routes):
        yield context.original_route, context.path or "", frozenset(context.methods or ()), declared(context)


def declared(route: Any) -> Declared | None:
    """Say what a route (or its context) declares; None if it says nothing. Several roles: the highest counts."""
    fixed: Declared | None = getattr(getattr(route, "original_route", route), "wasel_declared", None)
    if fixed is not None:
        return fixed
    found: list[Any] = []
    pending = [dependant] if (dependant := getattr(route, "dependant", None)) is not None else []
    while pending:
        dependant = pending.pop()
        pending += dependant.dependencies
        if hasattr(dependant.call, "role"):  # made by fleet.access
            found.append(dependant.call)
    if not found:
        return None
    roles = [call.role for call in found if call.role is not None]
    if roles:
        return Declared(max(roles))
    return Declared(None, form=any(getattr(call, "form", False) for call in found))


class Guard:
    """One server's gate."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.by_user = Limiter(rate_per_s=50, burst=400)
        self.by_address = Limiter(rate_per_s=50, burst=400)
        self._declared: dict[int, Declared] = {}
        self._routes: list[BaseRoute] = []
        """Kept alive: `_declared` knows them by their identity."""
        self.failures = Limiter(rate_per_s=0.5, burst=40)

    def install(self, app: FastAPI) -> None:
        """Guard every route that `app` has now; the last thing that is done to it."""
        for route, path, methods, says in routes(app):
            if says is None:
                raise UndeclaredRouteError(
                    f"{sorted(methods)} {path} doesn't declare who may use it: add Depends(needs(Role.X)) or public"
                )
            if self._declared.setdefault(id(route), says) != says:
                raise UndeclaredRouteError(f"{path} is included twice with different roles")
            self._routes.append(route)
            if "wasel_guarded" not in vars(route):  # routers are the module's, and shared by the servers of a process
                vars(route)["wasel_guarded"] = True
                vars(route)["handle"] = _guarded(route, route.handle)
        app.state.guard = self

    async def serve(self, route: BaseRoute, handle: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through to its route, or refuse it."""
        says = self._declared.get(id(route))
        if scope["type"] != "http" or says is None:
            raise HTTPException(403, "nobody declared who may do this")
        request = Request(scope, receive)
        if says.role is None and not says.form:
            self._limit(request, None)
            await handle(scope, receive, send)
            return
        principal, csrf = await self._identify(request)
        scope.setdefault("state", {})["principal"] = principal
        scope["state"]["csrf"] = csrf
        self._limit(request, principal)
        if says.role is not None:
            if principal is None:
                if _wants_page(request):
                    await _to_login(request)(scope, receive, send)
                    return
                raise HTTPException(401, "log in, or bring a token", {"WWW-Authenticate": "Bearer"})
            if principal.role < says.role:
                raise HTTPException(
                    403, f"this takes the role {says.role.text}; {principal.name} is {principal.role.text}"
                )
        by_cookie = principal is not None and csrf is not None
        if request.method not in SAFE_METHODS and (says.form or by_cookie):
            receive = await self._check_csrf(request, csrf)
        await handle(scope, receive, send)

    async def _identify(self, request: Request) -> tuple[Principal | None, str | None]:
        """Who asks, and the CSRF token that its forms have (None: by API token, needs none)."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        secret = request.cookies.get(cookie_name(request.url.scheme), "")
        address = _address(request)
        if (token or secret) and (wait_s := self.failures.wait_s(address)) > 0:
            raise _too_fast(wait_s)
        if scheme.lower() == "bearer":
            try:
                return await run_in_threadpool(self._by_token, token.strip()[:_MAX_SECRET]), None
            except LoginError:
                self.failures.take(address)
                raise
        if secret:
            found = await run_in_threadpool(self._by_session, secret[:_MAX_SECRET])
            if found is not None:
                return found
            self.failures.take(address)
        visitor = request.cookies.get(visitor_cookie(request.url.scheme), "")
        return None, csrf_token(visitor[:_MAX_SECRET]) if visitor else None

    def _by_token(self, token: str) -> Principal:
        with self._database.read() as db:
            return resolve_token(db, token)

    def _by_session(self, secret: str) -> tuple[Principal, str] | None:
        with self._database.read() as db:
            login = find_session(db, secret)
        if login is None:
            return None
        if login.stale:
            with self._database.write() as db:
                touch(db, login.key)
        return Principal(login.user, login.role, login.user_id), login.csrf

    def _limit(self, request: Request, principal: Principal | None) -> None:
        limiter, key = (self.by_user, principal.name) if principal else (self.by_address, _address(request))
        if (wait_s := limiter.take(key)) > 0:
            raise _too_fast(wait_s)

    async def _check_csrf(self, request: Request, expected: str | None) -> Receive:
        """Let a changing request of a browser pass; returns the `receive` that the route reads from."""
        receive = request.receive
        if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            raise HTTPException(403, "another site sent this request")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin)[:2] != (request.url.scheme, request.url.netloc):
            raise HTTPException(403, "another site sent this request")
        given = request.headers.get("x-csrf-token")
        if given is None and request.headers.get("content-type", "").partition(";")[0].strip() == form.FORM_TYPE:
            body, receive = await form.read(receive)
            given = form.parse(body).get("csrf")
        if expected is None or given is None or not same(given, expected):
            raise HTTPException(403, "the page is out of date: load it again (its CSRF token is missing or wrong)")
        return receive


def _guarded(route: BaseRoute, handle: ASGIApp) -> ASGIApp:
    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        guard = getattr(scope["app"].state, "guard", None)
        if guard is None:
            raise HTTPException(403, "this server has no guard")
        await guard.serve(route, handle, scope, receive, send)

    return guarded


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _wants_page(request: Request) -> bool:
    return request.method in SAFE_METHODS and "text/html" in request.headers.get("accept", "")


def _to_login(request: Request) -> RedirectResponse:
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/login?next={quote(target, safe='')}", 303)


def _too_fast(wait_s: float) -> HTTPException:
    return HTTPException(429, "too many requests: wait a little", {"Retry-After": str(int(wait_s) + 1)})
