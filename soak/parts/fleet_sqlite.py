# SPDX-License-Identifier: Apache-2.0
"""Ten thousand virtual devices on one server process with SQLite."""

from __future__ import annotations

from soak import Part
from soak.fleet_runs import load

PART = Part("10,000 virtual devices, SQLite, one process: 64 KiB onto all of them at once", timeout_s=3600, run=load)
