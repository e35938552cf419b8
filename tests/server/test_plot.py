# SPDX-License-Identifier: Apache-2.0
"""Coordinates of the error budget: stairs inside the frame, above the line exactly where the rollout stops."""

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


@given(
    st.lists(st.booleans(), max_size=1500),
    st.integers(0, 3000),
    st.floats(0, 100, allow_subnormal=False),
    st.integers(1, 2000),
)
def test_stairs_lie_inside_and_above_the_line_where_it_stops(ends, total, error_percent, min_samples):
    points, failed = [], 0
    for index, good in enumerate(ends, 1):
        failed += not good
        points.append((index, failed))
    plot = budget_plot(points, total=total, error_percent=error_percent, min_samples=min_samples)
    for path in (plot["stairs"], plot["limit"], plot["beyond"], plot["area"]):
        for x in re.findall(r"[HL](-?[\d.]+)", path):
            assert FRAME.x(0) <= float(x) <= FRAME.x(1)
        for y in re.findall(r"V(-?[\d.]+)", path):
            assert FRAME.y(1) <= float(y) <= FRAME.y(0)
        assert len(path) < 40 * MOST_POINTS
    assert (plot["ended"], plot["failed"]) == (len(ends), failed)
    stops = len(ends) >= min_samples and failed > 0 and 100 * failed > error_percent * len(ends)
    assert plot["over"] == stops


@given(st.lists(st.tuples(st.integers(), st.integers()), max_size=600), st.integers(2, 300))
def test_thinning_keeps_first_and_last(points, most):
    kept = thin(points, most)
    assert len(kept) == min(len(points), most)
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
