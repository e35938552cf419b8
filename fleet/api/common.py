# SPDX-License-Identifier: Apache-2.0
"""What routes of the API share: annotated dependencies and paging."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query

from fleet.access import Principal, Role, needs
from fleet.context import Fleet, fleet_of

__all__ = ["Admin", "Approver", "Limit", "Operator", "TheFleet", "Viewer"]

TheFleet = Annotated[Fleet, Depends(fleet_of)]
Viewer = Annotated[Principal, Depends(needs(Role.VIEWER))]
Operator = Annotated[Principal, Depends(needs(Role.OPERATOR))]
Approver = Annotated[Principal, Depends(needs(Role.APPROVER))]
Admin = Annotated[Principal, Depends(needs(Role.ADMIN))]
Limit = Annotated[int, Query(ge=1, le=1000)]
