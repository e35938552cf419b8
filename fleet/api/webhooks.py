# SPDX-License-Identifier: Apache-2.0
"""Routes of webhooks."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from fleet import webhooks
from fleet.api.common import Admin, Body, TheFleet

__all__ = ["router"]

router = APIRouter(tags=["webhooks"])


class WebhookBody(Body):
    """A webhook to be added."""

    url: Annotated[str, Field(max_length=2000)]
    kinds: list[str] = []


@router.get("/webhooks")
def list_webhooks(fleet: TheFleet, _who: Admin) -> list[dict[str, Any]]:
    """List webhooks, without their secrets."""
    with fleet.database.read() as session:
        return webhooks.list_webhooks(session)


@router.post("/webhooks", status_code=201)
def add_webhook(fleet: TheFleet, who: Admin, body: WebhookBody) -> dict[str, Any]:
    """Add a webhook; its secret is shown once."""
    with fleet.database.write() as session:
        hook = webhooks.add(session, who, body.url, body.kinds)
        return {"id": hook.id, "secret": hook.secret}


@router.post("/webhooks/{number}/enable")
def enable_webhook(fleet: TheFleet, who: Admin, number: int) -> dict[str, Any]:
    """Try a webhook again that was switched off."""
    with fleet.database.write() as session:
        return {"id": webhooks.enable(session, who, number).id}


@router.delete("/webhooks/{number}", status_code=204)
def remove_webhook(fleet: TheFleet, who: Admin, number: int) -> None:
    """Remove a webhook."""
    with fleet.database.write() as session:
        webhooks.remove(session, who, number)
