# SPDX-License-Identifier: Apache-2.0
"""The builds for this machine don't undo each other's work: what two of them make in one place is made in one way."""

from __future__ import annotations

from edge_engine.build import build_host as build_library
from edge_engine.superinstructions import build_listing
from edge_engine.zig import recorded
from qemu.simulator_build import build_simulator
from sel4_bridge.host_build import build_host


def test_no_two_builds_make_one_object_with_different_flags():
    with recorded() as record:
        for build in (build_host, build_library, build_listing, build_simulator):
            build()
    ways: dict[object, set[object]] = {}
    for item in record:
        ways.setdefault(item.output, set()).add((item.source, item.target, item.flags))
    assert len(ways) > 100
    assert [str(output) for output, of in ways.items() if len(of) > 1] == []


def test_the_runner_and_the_library_in_turn_compile_nothing_twice():
    objects = {}
    for _ in range(2):
        with recorded() as record:
            build_host()
            build_library()
        now = {item.output: item.output.stat().st_mtime_ns for item in record}
        objects = objects or now
    assert now == objects
