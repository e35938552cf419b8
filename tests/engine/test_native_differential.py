# SPDX-License-Identifier: Apache-2.0
"""Generated modules in both tiers: a bounded number here, more by `make soak` and ``python -m tests.fuzz.native``."""

from __future__ import annotations

import platform
import random

import pytest

from edge_engine.aot.compiler import TARGETS
from tests.fuzz.native import BATCH, Summary, compare_tiers

pytestmark = pytest.mark.skipif(platform.machine() not in TARGETS, reason=f"no native code for {platform.machine()}")


def test_same_results_traps_and_backtraces() -> None:
    """Fixed seeds, and fresh ones that a failure names."""
    fresh = random.SystemRandom().randrange(1 << 40)
    summary = Summary()
    problems = compare_tiers(range(BATCH), summary)
    problems += compare_tiers(range(fresh, fresh + BATCH), summary, fuel=True)
    assert not problems, "\n".join(problems)
    assert summary.modules == 2 * BATCH
    assert summary.traps > BATCH
    assert summary.frames > summary.traps  # some lie deeper than one call
