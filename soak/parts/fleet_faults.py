# SPDX-License-Identifier: Apache-2.0
"""A hundred thousand faults, from lost messages to killed servers; every device ends in the desired state."""

from __future__ import annotations

from soak import Part
from soak.fleet_runs import faults

PART = Part("100,000 faults among 500 virtual devices, server and broker killed meanwhile", timeout_s=5400, run=faults)
