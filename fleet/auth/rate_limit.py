# SPDX-License-Identifier: Apache-2.0
"""Rate limits: token buckets by key, as many as fit a fixed table. Pure: the caller brings the clock.

A bucket that is full is the same as one that isn't there, so the table forgets the one that was used longest ago; a
flood of keys can reset the buckets of others only by spending one request for each of `capacity` other keys. Each
process counts for itself: with n workers the limits are n times as wide.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Limiter"]


@dataclass
class _Bucket:
    level: float
    at_s: float


class Limiter:
    """`burst` requests at once, then `rate_per_s` for each key."""

    def __init__(
        self, *, rate_per_s: float, burst: int, capacity: int = 20_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate_per_s
        self._burst = float(burst)
        self._capacity = capacity
        self._clock = clock
        self._buckets: OrderedDict[Hashable, _Bucket] = OrderedDict()

    def wait_s(self, key: Hashable) -> float:
        """Seconds until the next request of `key` would be let in; 0 if it would be now. Counts nothing."""
        return max(0.0, (1.0 - self._level(key)) / self._rate)

    def take(self, key: Hashable) -> float:
        """Count a request of `key`: 0 if it is let in, else the seconds after which another try is worth it."""
        level = self._level(key)
        let_in = level >= 1.0
        self._buckets[key] = _Bucket(level - 1.0 if let_in else level, self._clock())
        self._buckets.move_to_end(key)
        while len(self._buckets) > self._capacity:
            self._buckets.popitem(last=False)
        return 0.0 if let_in else (1.0 - level) / self._rate

    def _level(self, key: Hashable) -> float:
        bucket = self._buckets.get(key)
        if bucket is None:
            return self._burst
        return min(self._burst, bucket.level + (self._clock() - bucket.at_s) * self._rate)
