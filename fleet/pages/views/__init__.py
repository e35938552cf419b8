# SPDX-License-Identifier: Apache-2.0
"""What the pages show: one file per noun; each function gives a page's data as a dictionary that JSON can hold."""

from __future__ import annotations

from fleet.access import Role
from fleet.pages.site import Page
from fleet.pages.views.audit import audit_log
from fleet.pages.views.users import account, users

__all__ = ["PAGES"]

PAGES = (
    Page("/audit", "audit.html", audit_log, live="audit"),
    Page("/users", "users.html", users, role=Role.ADMIN),
    Page("/account", "account.html", account),
)
