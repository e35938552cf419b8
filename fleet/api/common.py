# SPDX-License-Identifier: Apache-2.0
"""What routes of the API share: annotated dependencies, bodies that refuse unknown keys, reading large bodies."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from fleet.access import Principal, Role, needs
from fleet.context import Fleet
from fleet.errors import LimitError

__all__ = ["Admin", "Approver", "Body", "Limit", "Operator", "TheFleet", "Viewer", "read_body"]


def fleet_of(request: Request) -> Fleet:
    """Give the server of a request: a dependency of routes."""
    fleet: Fleet = request.app.state.fleet
    return fleet


TheFleet = Annotated[Fleet, Depends(fleet_of)]
Viewer = Annotated[Principal, Depends(needs(Role.VIEWER))]
Operator = Annotated[Principal, Depends(needs(Role.OPERATOR))]
Approver = Annotated[Principal, Depends(needs(Role.APPROVER))]
Admin = Annotated[Principal, Depends(needs(Role.ADMIN))]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Body(BaseModel):
    """A JSON body; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


async def read_body(request: Request, most: int) -> bytes:
    """Read a body of bytes, at most so many. LimitError."""
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > most:
            raise LimitError(f"the body has more than {most} bytes")
    return bytes(data)
