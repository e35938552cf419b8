# SPDX-License-Identifier: Apache-2.0
"""The tables, one file per noun. Changing one needs a migration in fleet/migrations (a test compares them)."""

from __future__ import annotations

from fleet.models.access import BrowserSession, Token, User
from fleet.models.artifact import Artifact, TrustDocument
from fleet.models.base import Base
from fleet.models.device import Claim, DesiredSlot, Device, DeviceSlot, DeviceTag
from fleet.models.journal import AuditEntry, Event, LogRecord, Sample
from fleet.models.rollout import Rollout, RolloutDevice, TwinJob
from fleet.models.service import Delivery, Lease, Webhook

__all__ = [
    "Artifact",
    "AuditEntry",
    "Base",
    "BrowserSession",
    "Claim",
    "Delivery",
    "DesiredSlot",
    "Device",
    "DeviceSlot",
    "DeviceTag",
    "Event",
    "Lease",
    "LogRecord",
    "Rollout",
    "RolloutDevice",
    "Sample",
    "Token",
    "TrustDocument",
    "TwinJob",
    "User",
    "Webhook",
]
