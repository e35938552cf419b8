# SPDX-License-Identifier: Apache-2.0
"""Coordinates of plots: steps inside the frame, whole numbers at the axis, few points however many devices."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fleet.pages.plot import MOST_POINTS, Frame, budget_plot, thin, ticks

FRAME = Frame()


@given(st.floats(0.1, 1e6), st.integers(2, 8))
def test_ticks_are_whole_and_reach_the_top(top, most):
    marks = ticks(top, most)
    assert marks[0] == 0
    assert marks[-1] >= top
    assert 2 <= len(marks) <= most
    assert {right - left for left, right in pairwise(marks)} == {marks[1]}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=2000), st.none() | st.integers(0, 3000))
def test_every_point_lies_inside_the_frame(ends, allowed):
    points, done, failed = [], 0, 0
    for at_ms, good in sorted(ends):
        done, failed = done + good, failed + (not good)
        points.append((at_ms, done, failed))
    plot = budget_plot(points, start_ms=0, end_ms=10**6, allowed=allowed)
    for path in (plot["failed"], plot["done"]):
        for x in re.findall(r"H(-?[\d.]+)", path):
            assert FRAME.x(0) <= float(x) <= FRAME.x(1)
        for y in re.findall(r"V(-?[\d.]+)", path):
            assert FRAME.y(1) <= float(y) <= FRAME.y(0)
        assert len(path) < 40 * MOST_POINTS
    assert plot["last_failed"] == failed
    assert plot["last_done"] == done
    if allowed is not None:
        assert FRAME.y(1) <= plot["limit_y"] <= FRAME.y(0)
        assert (plot["last_y"] <= plot["limit_y"]) == (failed >= allowed)


@given(st.lists(st.tuples(st.integers(), st.integers(), st.integers()), max_size=600), st.integers(2, 300))
def test_thinning_keeps_first_and_last(points, most):
    kept = thin(points, most)
    assert len(kept) == min(len(points), most)
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
