# SPDX-License-Identifier: Apache-2.0
"""Coordinates of the error budget's plot: numbers in, numbers of an SVG's user space out. Pure; a template draws them.

Along the bottom: devices that came to an end. Upwards: those that failed. The budget is a straight line through the
origin, the rollout's error threshold; it counts from `min_samples` devices on. Where the stairs cross it the rollout
stops. So one sees at any time how far away that is, and what one more failure would do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Frame", "budget_plot", "thin", "ticks"]

MOST_POINTS = 240
GOOD_STEPS = (1, 2, 5)


@dataclass(frozen=True)
class Frame:
    """Where the plot's inside lies, in user units."""

    width: int = 640
    height: int = 230
    left: int = 40
    right: int = 18
    top: int = 14
    bottom: int = 40

    def x(self, share: float) -> float:
        """From 0 to 1 along the bottom."""
        return round(self.left + share * (self.width - self.left - self.right), 1)

    def y(self, share: float) -> float:
        """From 0 to 1 upwards."""
        return round(self.height - self.bottom - share * (self.height - self.top - self.bottom), 1)


def ticks(top: float, most: int = 5) -> list[int]:
    """Give whole numbers from 0 to at least `top`, `most` at most, in steps of 1, 2 or 5 times a power of ten."""
    scale = 1
    while True:
        for good in GOOD_STEPS:
            step = good * scale
            count = math.ceil(top / step) + 1
            if count <= most:
                return [step * index for index in range(max(count, 2))]
        scale *= 10


def thin(points: Sequence[tuple[int, int]], most: int = MOST_POINTS) -> list[tuple[int, int]]:
    """Leave out points so that at most `most` stay, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def budget_plot(
    points: Sequence[tuple[int, int]], *, total: int, error_percent: float, min_samples: int, frame: Frame | None = None
) -> dict[str, Any]:
    """Draw points (came to an end, failed), both only growing, of a rollout to `total` devices."""
    frame = frame or Frame()
    shown = thin(points)
    ended, failed = shown[-1] if shown else (0, 0)
    right = max(total, ended, min_samples, 1)
    allowed = error_percent * right / 100
    marks = ticks(1.15 * max(min(allowed, right), failed, 1))
    top = marks[-1]

    def at(done: float, bad: float) -> tuple[float, float]:
        return frame.x(done / right), frame.y(min(bad / top, 1.0))

    parts = [f"M{frame.x(0)} {frame.y(0)}"]
    for done, bad in shown:
        x, y = at(done, bad)
        parts.append(f"H{x} V{y}")
    stairs = " ".join(parts)
    end_x, end_y = at(ended, failed)
    # The budget's line leaves the plot at the top or at its right edge, whichever comes first.
    reach = min(right, 100 * top / error_percent) if error_percent else right
    begin = min(min_samples, reach)
    begin_x, begin_y = at(begin, error_percent * begin / 100)
    reach_x, reach_y = at(reach, error_percent * reach / 100)
    across = [mark for mark in ticks(right, 6) if mark <= right]
    return {
        "width": frame.width,
        "height": frame.height,
        "left": frame.x(0),
        "right": frame.x(1),
        "top": frame.y(1),
        "floor": frame.y(0),
        "marks": [{"y": frame.y(mark / top), "text": str(mark)} for mark in marks],
        "across": [{"x": frame.x(mark / right), "text": str(mark)} for mark in across],
        "stairs": stairs,
        "area": f"{stairs} V{frame.y(0)}z",
        "end": {"x": end_x, "y": end_y},
        "limit": f"M{begin_x} {frame.y(1)} V{begin_y} L{reach_x} {reach_y}",
        "beyond": f"M{begin_x} {frame.y(1)} V{begin_y} L{reach_x} {reach_y} V{frame.y(1)}z",
        "ended": ended,
        "failed": failed,
        "total": total,
        "error_percent": error_percent,
        "min_samples": min_samples,
        "over": ended >= min_samples and failed > 0 and 100 * failed > error_percent * ended,
    }
