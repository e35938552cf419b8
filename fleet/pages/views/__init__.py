# SPDX-License-Identifier: Apache-2.0
"""What the pages show: one file per noun; each function gives a page's data as a dictionary that JSON can hold."""

from __future__ import annotations

from fleet.access import Role
from fleet.pages.site import Page
from fleet.pages.views.artifacts import artifact, artifact_list
from fleet.pages.views.audit import audit_log
from fleet.pages.views.device import device
from fleet.pages.views.enrolment import devices
from fleet.pages.views.fleet import fleet
from fleet.pages.views.rollout import rollout
from fleet.pages.views.rollout_list import rollout_list
from fleet.pages.views.rollout_new import rollout_new
from fleet.pages.views.users import account, users

__all__ = ["PAGES"]

PAGES = (
    Page("/", "fleet.html", fleet, live="fleet events"),
    Page("/devices", "devices.html", devices, live="fleet"),
    Page("/devices/{name}", "device.html", device, live="device:{name} log:{name}"),
    Page("/artifacts", "artifacts.html", artifact_list, live="artifacts"),
    Page("/artifacts/{digest}", "artifact.html", artifact, live="fleet"),
    Page("/rollouts", "rollouts.html", rollout_list, live="events"),
    Page("/rollouts/new", "rollout_new.html", rollout_new, role=Role.OPERATOR),
    Page("/rollouts/{number}", "rollout.html", rollout, live="rollout:{number} events"),
    Page("/audit", "audit.html", audit_log, live="audit"),
    Page("/users", "users.html", users, role=Role.ADMIN),
    Page("/account", "account.html", account),
)
