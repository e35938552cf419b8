# SPDX-License-Identifier: Apache-2.0
"""The dashboard: server-rendered pages, each with its data as JSON under /api/v1/views, over the services of the API.

A page is a function from a database session and a request to a dictionary (fleet/pages/views); its template shows that
dictionary, its JSON twin gives it. Actions of forms are in fleet/pages/actions. Who may what is declared with each
(`needs`) and enforced by fleet.auth.guard before any of it runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from fleet.auth.guard import Declared, Guard
from fleet.auth.headers import SecurityHeaders
from fleet.pages import errors
from fleet.pages.actions import ROUTERS
from fleet.pages.site import STATIC, Site
from fleet.pages.views import PAGES
from fleet.pages.views.rollout import rollout_map
from fleet.pages.views.states import map_of_states

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fleet.context import Fleet

__all__ = ["install"]


def install(app: FastAPI, fleet: Fleet) -> None:
    """Add the pages, the guard before every route that `app` has then, and the security headers; call it last."""
    site = Site(fleet)
    app.state.site = site
    for page in PAGES:
        site.add(app, page)
    site.add_json(app, "/map", map_of_states)
    site.add_json(app, "/rollouts/{number}/map", rollout_map)
    for router in ROUTERS:
        app.include_router(router, include_in_schema=False)
    static = Mount("/static", StaticFiles(directory=STATIC), name="static")
    vars(static)["wasel_declared"] = Declared(None)  # what the guard looks for where there are no dependencies
    app.router.routes.append(static)
    errors.install(app, site)
    Guard(fleet.database).install(app)
    app.add_middleware(SecurityHeaders)
