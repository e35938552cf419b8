# SPDX-License-Identifier: Apache-2.0
"""Routes of the twin gate: reports to read, and jobs for workers elsewhere (module by /artifacts/DIGEST/data)."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from fleet import twin_gate
from fleet.api.common import Body, Operator, TheFleet, Viewer, read_body
from fleet.errors import NotFoundError
from fleet.twin_report import MAX_REPORT
from fleet.twin_worker import order_of, report_table, take_report

__all__ = ["router"]

router = APIRouter(tags=["twin gate"])
ENVELOPE_SIZE = 1024


class WorkerBody(Body):
    """Who asks."""

    worker: Annotated[str, Field(min_length=1, max_length=64)]


@router.post("/twin/claim")
def claim(fleet: TheFleet, _who: Operator, body: WorkerBody) -> dict[str, Any] | None:
    """Give a job to a worker, null if there is none."""
    with fleet.database.write() as session:
        job = twin_gate.claim(session, body.worker)
        return order_of(session, job) if job is not None else None


@router.get("/twin/{number}")
def read_report(fleet: TheFleet, _who: Viewer, number: int) -> dict[str, Any]:
    """Give a report, its signature checked."""
    with fleet.database.read() as session:
        job = twin_gate.find(session, number)
        if job.report is None:
            raise NotFoundError(f"twin job {number} is {job.state}: it has no report")
        return report_table(fleet.settings, job)


@router.get("/twin/{number}/report")
def read_bytes(fleet: TheFleet, _who: Viewer, number: int) -> Response:
    """Give a report as it was signed."""
    with fleet.database.read() as session:
        job = twin_gate.find(session, number)
        if job.report is None:
            raise NotFoundError(f"twin job {number} is {job.state}: it has no report")
        return Response(job.report, media_type="application/vnd.wasel.twin-report+cbor")


@router.post("/twin/{number}/report")
async def submit(fleet: TheFleet, _who: Operator, number: int, request: Request) -> dict[str, str]:
    """Take a signed report (the body's bytes)."""
    data = await read_body(request, MAX_REPORT + ENVELOPE_SIZE)

    def take() -> tuple[str, int]:
        with fleet.database.write() as session:
            job = take_report(session, fleet.settings, number, data)
            return job.state, job.rollout_id

    state, rollout = await asyncio.to_thread(take)
    fleet.rollouts_changed(rollout)
    return {"state": state}
