# SPDX-License-Identifier: Apache-2.0
"""Routes with which devices come in, and of the claim tokens that let them."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from agent.enroll import check_request
from fleet import enrolment
from fleet.access import public
from fleet.api.common import Admin, Body, Operator, TheFleet, Viewer
from fleet.errors import DeniedError, NotFoundError
from fleet.models import Claim

__all__ = ["router"]

router = APIRouter(tags=["enrolment"])
RETRY_S = 10
MANY = 20_000


class ClaimBody(Body):
    """A claim token to be made."""

    uses: int = 1
    days: Annotated[float, Field(gt=0, le=3650)] = 1.0
    tags: dict[str, str] = {}
    note: str = ""


class ManyBody(Body):
    """Devices to be known at once."""

    names: Annotated[list[str], Field(min_length=1, max_length=MANY)]
    tags: dict[str, str] = {}


def _claim(claim: Claim) -> dict[str, Any]:
    names = ("id", "note", "tags", "max_uses", "uses", "expires_ms", "revoked", "created_by", "created_ms")
    return {name: getattr(claim, name) for name in names}


@router.post("/enroll", dependencies=[Depends(public)])
def enroll(fleet: TheFleet, body: dict[str, Any]) -> Response:
    """Let a device in (no login: the request is signed with the device's key; agent/enroll.py makes it)."""
    wanted = check_request(body, time.time())
    with fleet.database.write() as session:
        made = enrolment.enroll(
            session,
            key=wanted.key.raw,
            name=wanted.device,
            serial=wanted.serial,
            claim=wanted.claim,
            time_s=wanted.time_s,
            nonce=wanted.nonce,
        )
    if made.pending:
        return JSONResponse({"v": 1, "status": "pending", "retry_s": RETRY_S}, 202)
    if not fleet.device_broker_url:
        raise DeniedError("this server has no broker for devices")
    fleet.devices_changed()
    return JSONResponse(
        {
            "v": 1,
            "device": made.name,
            "tenant": fleet.settings.tenant,
            "broker": fleet.device_broker_url,
            "username": made.name,
            "password": made.password,
            "ca": fleet.broker_ca or None,
        }
    )


@router.get("/ca.pem", dependencies=[Depends(public)])
def read_ca(fleet: TheFleet) -> Response:
    """Give the certificate of the broker's authority (public)."""
    if not fleet.broker_ca:
        raise NotFoundError("this server's broker has no authority of its own")
    return Response(fleet.broker_ca, media_type="application/x-pem-file")


@router.get("/broker")
def read_broker(fleet: TheFleet, _who: Viewer) -> dict[str, str | None]:
    """Give the address of the devices' broker and its authority's certificate."""
    return {"broker": fleet.device_broker_url, "ca": fleet.broker_ca or None}


@router.get("/claims")
def list_claims(fleet: TheFleet, _who: Viewer) -> list[dict[str, Any]]:
    """List claim tokens (not their secrets), newest first."""
    with fleet.database.read() as session:
        return [_claim(claim) for claim in enrolment.list_claims(session)]


@router.post("/claims", status_code=201)
def create_claim(fleet: TheFleet, who: Operator, body: ClaimBody) -> dict[str, Any]:
    """Make a claim token; it is shown once."""
    with fleet.database.write() as session:
        claim, token = enrolment.create_claim(
            session, who, uses=body.uses, days=body.days, tags=body.tags, note=body.note
        )
        return _claim(claim) | {"token": f"{token}.{fleet.ca_hash}" if fleet.ca_hash else token}


@router.delete("/claims/{number}", status_code=204)
def revoke_claim(fleet: TheFleet, who: Operator, number: int) -> None:
    """End a claim token."""
    with fleet.database.write() as session:
        enrolment.revoke_claim(session, who, number)


@router.post("/devices/many", status_code=201)
def enroll_many(fleet: TheFleet, who: Admin, body: ManyBody) -> dict[str, str]:
    """Make many devices known at once (simulated ones); gives their passwords."""
    with fleet.database.write() as session:
        answer = enrolment.enroll_many(session, who, body.names, body.tags)
    fleet.devices_changed()
    return answer
