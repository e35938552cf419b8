# SPDX-License-Identifier: Apache-2.0
"""The HTTP API, version 1: one router per noun. Each route names the role that it needs (fleet.access.needs)."""

from __future__ import annotations

from fleet.api.artifacts import router as artifacts_router
from fleet.api.audit import router as audit_router
from fleet.api.devices import router as devices_router
from fleet.api.enrolment import router as enrolment_router
from fleet.api.journal import router as journal_router
from fleet.api.metrics import router as metrics_router
from fleet.api.rollouts import router as rollouts_router
from fleet.api.twin import router as twin_router
from fleet.api.users import router as users_router
from fleet.api.webhooks import router as webhooks_router

__all__ = ["ROUTERS", "metrics_router"]

ROUTERS = (
    devices_router,
    enrolment_router,
    artifacts_router,
    rollouts_router,
    twin_router,
    journal_router,
    audit_router,
    users_router,
    webhooks_router,
)
