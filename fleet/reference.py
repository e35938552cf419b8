# SPDX-License-Identifier: Apache-2.0
"""Pages of the documentation that the server's code writes: the HTTP API, with the role of each route, and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from agent.reference.markdown import cell, first_line, table
from fleet import api
from fleet.access import Role
from fleet.auth.guard import routes
from fleet.metrics import COUNTS, MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["http_reference", "metric_reference"]

PREFIX = "/api/v1"
HTTP_HEAD = f"""# HTTP API

Made from the server's routes. A request carries a token (`Authorization: Bearer wft_...`, `wasel fleet token`); errors
are `{{"detail": text}}` with their status. `GET {PREFIX}/openapi.json` gives the same as OpenAPI 3.1, with the shape of
every body. How it is used: [the fleet server](../fleet.md).
"""
ROLES = {
    Role.VIEWER: "reads",
    Role.OPERATOR: "devices, artifacts, deployments, rollouts",
    Role.APPROVER: "approves what another person made",
    Role.ADMIN: "users, tokens of others, trust, webhooks",
}
METRIC_HEAD = """# Metrics

Made from the code. `GET /metrics` with a viewer's token gives them in Prometheus' text format, each worker its own:
take the maximum over workers of what the database knows (artifacts, devices, rollouts), the sum of the counters.
"""


def _routes() -> Iterator[tuple[Any, str, str, str]]:
    """Each route of the API: what handles it, method, path, role."""
    app = FastAPI()
    for router in api.ROUTERS:
        app.include_router(router, prefix=PREFIX)
    app.include_router(api.metrics_router)
    for route, path, methods, says in routes(app):
        if path.startswith(PREFIX) or path in {"/metrics", "/healthz"}:
            role = says.role.name.lower() if says is not None and says.role is not None else "none"
            for method in sorted(methods - {"HEAD"}):
                yield route, method, path, role


def _names(fields: dict[str, Any]) -> str:
    return ", ".join(f"`{name}`{'' if field.is_required() else '?'}" for name, field in fields.items())


def _takes(route: Any) -> str:
    """Name what a request may bring besides the path."""
    query: dict[str, Any] = {}
    for one in route.dependant.query_params:
        query |= getattr(one.field_info.annotation, "model_fields", None) or {one.alias: one.field_info}
    body = getattr(getattr(route.body_field, "field_info", None), "annotation", None)
    parts = {"query": query, "body": getattr(body, "model_fields", {})}
    return "; ".join(f"{part} {_names(fields)}" for part, fields in parts.items() if fields)


def http_reference() -> str:
    """Return the page."""
    by_tag: dict[str, list[tuple[str, ...]]] = {}
    for route, method, path, role in _routes():
        row = (f"`{method} {path}`", role, _takes(route), cell(first_line(route.endpoint)))
        by_tag.setdefault(str((route.tags or ["others"])[0]), []).append(row)
    text = [HTTP_HEAD, "\nA role includes those above it; `none` needs no login.\n"]
    text.append(table(("role", "may"), ((role.name.lower(), what) for role, what in ROLES.items())))
    text.append("\nIn the tables `?` marks what may be left out.\n")
    for tag, rows in by_tag.items():
        text.append(f"\n## {tag}\n{table(('route', 'role', 'takes', ''), rows)}")
    return "".join(text)


def metric_reference() -> str:
    """Return the page."""
    rows = [(f"`{name}`", "gauge", f"`{label}`" if label else "", text) for name, text, label, _ in COUNTS]
    for one in MEASURES:
        name, kind = (f"`{one.name}_total`", "counter") if one.counts else (f"`{one.name}`", "gauge")
        rows.append((name, kind, "", one.text))
    return METRIC_HEAD + table(("metric", "type", "label", ""), rows)
