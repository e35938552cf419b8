# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: routers, errors, limits.

Routes of the API are in fleet/api, one file per noun, under /api/v1; the pages are in fleet/pages. Every error of
`fleet.errors` becomes `{"detail": text}` with its status; nothing else of an error reaches a client.
"""

from __future__ import annotations

import contextlib
import logging
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from agent.errors import RefusedError, UsageError, WaselError
from fleet import api, pages
from fleet.context import Fleet
from fleet.database import upgrade
from fleet.errors import FleetError
from fleet.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

__all__ = ["create_app"]

_log = logging.getLogger("wasel.fleet")
STATUS_INVALID = 422
STATUS_TOO_LARGE = 413
STATUS_FAILED = 500


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application; without settings they come from the environment."""
    settings = settings or Settings.load()
    upgrade(settings.database_url)
    fleet = Fleet(settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with fleet.run():
            yield

    app = FastAPI(
        title="wasel fleet",
        version=version("wasel"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # fleet.api.server gives it to who is logged in
    )
    app.state.fleet = fleet
    app.add_exception_handler(WaselError, _error)
    app.middleware("http")(_limit)
    for router in api.ROUTERS:
        app.include_router(router, prefix="/api/v1")
    app.include_router(api.metrics_router)
    pages.install(app, fleet)
    return app


def _error(_request: Request, error: Exception) -> Response:
    match error:
        case FleetError():
            status = error.status
        case RefusedError() | UsageError():
            status = STATUS_INVALID
        case _:
            status = STATUS_FAILED
            _log.error("%s", error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None  # noqa: PLR2004 - RFC 9110, 15.5.2
    return JSONResponse({"detail": str(error)}, status, headers)


async def _limit(request: Request, following: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse bodies that say themselves that they are too large; routes that read bodies count for themselves."""
    length = request.headers.get("content-length", "0")
    most = request.app.state.fleet.settings.max_request_size
    if not length.isascii() or not length.isdigit() or int(length) > most:
        return JSONResponse({"detail": f"the request has more than {most} bytes"}, STATUS_TOO_LARGE)
    return await following(request)
