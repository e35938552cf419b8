# SPDX-License-Identifier: Apache-2.0
"""What the pages' forms do: one router per noun; each answers with the page to see next (303)."""

from __future__ import annotations

from fleet.pages.actions.account import router as account_router
from fleet.pages.actions.devices import router as devices_router
from fleet.pages.actions.login import router as login_router
from fleet.pages.actions.rollouts import router as rollouts_router
from fleet.pages.actions.users import router as users_router

__all__ = ["ROUTERS"]

ROUTERS = (login_router, account_router, users_router, devices_router, rollouts_router)
