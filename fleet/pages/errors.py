# SPDX-License-Identifier: Apache-2.0
"""Errors for browsers: a page that says what was wrong and where to go on; programs keep their JSON.

A browser is who asks for text/html outside of /api. What errors say is the text of this project's own errors; nothing
else of an exception reaches a client.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.exception_handlers import http_exception_handler, request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from agent.errors import WaselError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI, Request

    from fleet.pages.site import Site

    Handler = Callable[[Request, Exception], Response | Awaitable[Response]]

__all__ = ["install", "wants_page"]


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def install(app: FastAPI, site: Site) -> None:  # noqa: C901 - three handlers
    """Put pages before the handlers that `app` has."""
    for_programs: Handler = app.exception_handlers[WaselError]

    def page(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
        data = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
        response = site.render(request, "error.html", data, status=status)
        response.headers.update(headers or {})
        return response

    async def refused(request: Request, error: Exception) -> Response:
        answer = for_programs(request, error)
        if not isinstance(answer, Response):
            answer = await answer
        if wants_page(request):
            return page(request, answer.status_code, str(error))
        return answer

    async def http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if wants_page(request):
            return page(request, error.status_code, str(error.detail), dict(error.headers or {}))
        return await http_exception_handler(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        if wants_page(request):
            what = "; ".join(
                f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}" for item in error.errors()
            )
            return page(request, 422, what)
        return await request_validation_exception_handler(request, error)

    app.add_exception_handler(WaselError, refused)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
