# SPDX-License-Identifier: Apache-2.0
"""Coordinates of plots: numbers in, numbers of an SVG's user space out. Pure; the templates draw them.

The error budget: how many devices failed over time, against how many may. A rollout stops where the line meets the
budget. Both are steps: nothing lies between two devices.
"""

from __future__ import annotations

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
    height: int = 220
    left: int = 40
    right: int = 16
    top: int = 14
    bottom: int = 26

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
            count = int(-(-top // step)) + 1
            if count <= most:
                return [step * index for index in range(max(count, 2))]
        scale *= 10


def thin(points: Sequence[tuple[int, int, int]], most: int = MOST_POINTS) -> list[tuple[int, int, int]]:
    """Leave out points so that at most `most` stay, the first and the last among them."""
    if len(points) <= most:
        return list(points)
    return [points[round(index * (len(points) - 1) / (most - 1))] for index in range(most)]


def budget_plot(
    points: Sequence[tuple[int, int, int]],
    *,
    start_ms: int,
    end_ms: int,
    allowed: int | None,
    frame: Frame | None = None,
) -> dict[str, Any]:
    """Draw points (time, succeeded so far, failed so far) from `start_ms` to `end_ms`.

    `allowed` failures (None: no limit) is a line across; succeeded devices have a scale of their own, on the right.
    """
    frame = frame or Frame()
    shown = thin(points)
    span = max(1, end_ms - start_ms)
    failed_top = max([allowed or 0, 1, *(failed for _, _, failed in shown)])
    marks = ticks(failed_top * 1.15)
    done_top = max([1, *(done for _, done, _ in shown)])

    def path(index: int, top: float) -> str:
        x, y = frame.x(0), frame.y(0)
        parts = [f"M{x} {y}"]
        for point in shown:
            x = frame.x(min(1.0, max(0.0, (point[0] - start_ms) / span)))
            parts.append(f"H{x}")
            y = frame.y(point[index] / top)
            parts.append(f"V{y}")
        parts.append(f"H{frame.x(1)}")
        return " ".join(parts)

    failed, done = path(2, marks[-1]), path(1, done_top)
    floor = f" V{frame.y(0)} H{frame.x(0)}z"
    return {
        "width": frame.width,
        "height": frame.height,
        "left": frame.x(0),
        "right": frame.x(1),
        "floor": frame.y(0),
        "marks": [{"y": frame.y(mark / marks[-1]), "text": str(mark)} for mark in marks],
        "failed": failed,
        "failed_area": failed + floor,
        "done": done,
        "limit_y": frame.y(allowed / marks[-1]) if allowed is not None and allowed <= marks[-1] else None,
        "allowed": allowed,
        "last_failed": shown[-1][2] if shown else 0,
        "last_done": shown[-1][1] if shown else 0,
        "last_y": frame.y((shown[-1][2] if shown else 0) / marks[-1]),
        "span_ms": span,
    }
