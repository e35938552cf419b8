# SPDX-License-Identifier: Apache-2.0
"""How a page becomes HTML or JSON: the templates' environment, and the two routes of each page.

Templates escape everything (autoescape for every file, undefined names are errors); there is no `safe` in them, which
a test checks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from fleet.access import Role, needs
from fleet.pages import text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fastapi import FastAPI
    from sqlalchemy.orm import Session

    from fleet.access import Principal
    from fleet.context import Fleet

__all__ = ["STATIC", "Ask", "Page", "Site"]

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"
VIEWS = "/api/v1/views"
THEMES = frozenset({"light", "dark"})


@dataclass(frozen=True)
class Ask:
    """What somebody wants to see."""

    fleet: Fleet
    who: Principal
    path: Mapping[str, str] = field(default_factory=dict)
    """Parts of the path by name."""
    query: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, default: int | None = None) -> int | None:
        """Read a number of path or query; anything else is the default."""
        given = self.path.get(name, self.query.get(name, ""))
        return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else default  # noqa: PLR2004


@dataclass(frozen=True)
class Page:
    """A page: where, with which template, for whom, made by what."""

    path: str
    template: str
    build: Callable[[Session, Ask], dict[str, Any]]
    role: Role = Role.VIEWER
    live: str = ""
    """Topics on which it loads again, fields of the path in braces."""


class Site:
    """The templates, and what each of them knows."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters.update(text.FILTERS)
        self.templates.globals.update(text.GLOBALS)
        self.templates.globals["asset"] = _Assets()

    def add(self, app: FastAPI, page: Page) -> None:
        """Add the two routes of a page."""

        def html(request: Request) -> HTMLResponse:
            data = self._build(request, page.build)
            live = page.live.format_map({name: quote(value, safe="") for name, value in request.path_params.items()})
            return self.render(request, page.template, data, live=live)

        allowed = [Depends(needs(page.role))]
        name = page.build.__name__
        app.add_api_route(page.path, html, methods=["GET"], dependencies=allowed, include_in_schema=False, name=name)
        self.add_json(app, page.path if page.path != "/" else "/fleet", page.build, page.role)

    def add_json(
        self, app: FastAPI, path: str, build: Callable[[Session, Ask], dict[str, Any]], role: Role = Role.VIEWER
    ) -> None:
        """Add a route that gives data as JSON, with a mark by which a browser asks whether it changed."""

        def json(request: Request) -> Response:
            answer = JSONResponse(self._build(request, build))
            mark = f'"{hashlib.sha256(answer.body).hexdigest()[:32]}"'
            headers = {"etag": mark, "cache-control": "private, no-cache"}
            if request.headers.get("if-none-match") == mark:
                return Response(status_code=304, headers=headers)
            answer.headers.update(headers)
            return answer

        app.add_api_route(
            VIEWS + path,
            json,
            methods=["GET"],
            dependencies=[Depends(needs(role))],
            response_class=JSONResponse,
            tags=["views"],
            name=f"{build.__name__}_json",
            summary=(build.__doc__ or path).partition("\n")[0],
            operation_id=f"view_{build.__name__}",
        )

    def _build(self, request: Request, build: Callable[[Session, Ask], dict[str, Any]]) -> dict[str, Any]:
        ask = Ask(self.fleet, request.state.principal, request.path_params, request.query_params)
        with self.fleet.database.read() as db:
            return build(db, ask)

    def render(
        self, request: Request, template: str, data: dict[str, Any], *, live: str = "", status: int = 200
    ) -> HTMLResponse:
        """Give a template's page."""
        theme = request.cookies.get("wasel-theme", "")
        state = request.scope.get("state", {})
        body = self.templates.get_template(template).render(
            data,
            who=state.get("principal"),
            csrf=state.get("csrf") or "",
            here=request.url.path,
            query=dict(request.query_params),
            theme=theme if theme in THEMES else "auto",
            live=live,
        )
        return HTMLResponse(body, status)


class _Assets:
    """Addresses of static files, with a mark of the content so that a new file is loaded at once."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        if name not in self._marks:
            self._marks[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
        return f"/static/{name}?{self._marks[name]}"
