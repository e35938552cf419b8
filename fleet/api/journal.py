# SPDX-License-Identifier: Apache-2.0
"""Routes of events, output, samples, commands, and the live stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from fleet import audit, devices, journal
from fleet.api.common import Body, Limit, Operator, TheFleet, Viewer
from fleet.context import Fleet
from fleet.errors import InvalidError, LimitError, ServerError

__all__ = ["router"]

router = APIRouter(tags=["journal"])
KEEPALIVE_S = 15.0
MAX_TOPICS = 16
MAX_TOPIC = 128
"""Characters; a device's name has at most 64."""


class CommandBody(Body):
    """Something to do once, now."""

    action: Literal["ping", "start", "stop", "trace", "untrace"]
    slot: int | None = None


@router.get("/events")
def list_events(
    fleet: TheFleet,
    _who: Viewer,
    device: str = "",
    rollout: int | None = None,
    kind: str = "",
    before: int | None = None,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """List events, newest first; `before` is the lowest id of the page before."""
    with fleet.database.read() as session:
        found = journal.events(session, device=device, rollout=rollout, kind=kind, before=before, limit=limit)
        return [journal.view(event) for event in found]


@router.get("/devices/{name}/logs")
def read_logs(
    fleet: TheFleet,
    _who: Viewer,
    name: str,
    slot: int | None = None,
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Limit = 200,
) -> list[dict[str, Any]]:
    """Give a device's output: what follows record `after`, or the newest."""
    with fleet.database.read() as session:
        devices.find(session, name)
        return journal.logs(session, name, slot=slot, after=after, limit=limit)


@router.get("/devices/{name}/samples")
def read_samples(fleet: TheFleet, _who: Viewer, name: str, slot: int, limit: Limit = 360) -> list[dict[str, Any]]:
    """Give the newest samples of a slot's counters."""
    with fleet.database.read() as session:
        devices.find(session, name)
        return journal.samples(session, name, slot=slot, limit=limit)


@router.post("/devices/{name}/command")
async def give_command(fleet: TheFleet, who: Operator, name: str, body: CommandBody) -> dict[str, Any]:
    """Have a device do something once, and wait for its answer."""
    if (body.slot is None) != (body.action == "ping"):
        raise InvalidError(f"{body.action}: a slot is needed" if body.slot is None else "ping: takes no slot")
    if fleet.service is None:
        raise ServerError("this server has no broker")

    def note() -> None:
        with fleet.database.write() as session:
            devices.find(session, name)
            audit.append(session, who, f"device.{body.action}", name, {"slot": body.slot})

    await asyncio.to_thread(note)
    ack = await fleet.service.orders.give(name, body.action, body.slot)
    return {"ok": ack.ok, "error": ack.error}


@router.get("/stream")
async def stream(fleet: TheFleet, _who: Viewer, topic: Annotated[list[str], Query()]) -> StreamingResponse:
    """Tell what happens as server-sent events: `fleet`, `events`, `device:NAME`, `log:NAME`, `rollout:ID`."""
    if len(topic) > MAX_TOPICS:
        raise InvalidError(f"at most {MAX_TOPICS} topics")
    if any(len(name) > MAX_TOPIC for name in topic):
        raise InvalidError(f"topic: at most {MAX_TOPIC} characters: fleet, events, device:NAME, log:NAME, rollout:ID")
    if fleet.bus.full:
        raise LimitError("too many watch already")
    return StreamingResponse(
        _messages(fleet, topic),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _messages(fleet: Fleet, topics: list[str]) -> AsyncIterator[str]:
    with fleet.bus.subscribe(*topics) as watching:
        yield ": hello\n\n"
        while not fleet.closing.is_set():
            try:
                async with asyncio.timeout(KEEPALIVE_S):
                    message = await watching.get()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            fields = {"topic": message.topic, "kind": message.kind, "data": message.data}
            yield f"data: {json.dumps(fields)}\n\n"
