# SPDX-License-Identifier: Apache-2.0
"""The server's clock: whole milliseconds since the epoch, as they lie in the database."""

from __future__ import annotations

import time

__all__ = ["now_ms"]


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
