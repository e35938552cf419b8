# SPDX-License-Identifier: Apache-2.0
"""Prometheus metrics of the server, its health, and the description of the API."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sqlalchemy import text

from fleet.access import public
from fleet.api.common import TheFleet, Viewer
from fleet.metrics import registry_of

__all__ = ["router"]

router = APIRouter(tags=["server"])


@router.get("/metrics")
def metrics(fleet: TheFleet, _who: Viewer) -> Response:
    """Give the metrics in Prometheus' text format; the scraper sends a viewer's token."""
    return Response(generate_latest(registry_of(fleet)), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1/openapi.json", include_in_schema=False)
def openapi(request: Request, _who: Viewer) -> dict[str, Any]:
    """Describe the API (OpenAPI 3.1)."""
    schema: dict[str, Any] = request.app.openapi()
    return schema


@router.get("/healthz", dependencies=[Depends(public)])
def health(fleet: TheFleet) -> dict[str, Any]:
    """Say that the server answers and reaches its database; no login, no data."""
    with fleet.database.read() as session:
        session.execute(text("SELECT 1"))
    return {"ok": True}
