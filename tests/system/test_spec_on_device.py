# SPDX-License-Identifier: Apache-2.0
"""A part of the specification's scripts inside the device: its engine, its arena, its faults instead of a host's."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from edge_engine.aot.compiler import compile_module
from edge_engine.aot.section import add_section
from tests.engine.self_checking import Program, programs
from tests.engine.wast import missing_tools, spec_tests_folder
from tests.system.conftest import Ended, Target, follow, install

if TYPE_CHECKING:
    from agent.link.device import Device as Link

pytestmark = pytest.mark.system

CORE = (
    *("i32", "i64", "f32", "f64", "f32_cmp", "f64_cmp", "conversions", "int_exprs", "float_exprs", "endianness"),
    *("call", "call_indirect", "br_table", "left-to-right", "select", "switch", "fac", "traps"),
    *("memory_grow", "memory_fill", "bulk"),
)
SIMD = ("simd_i8x16_arith2", "simd_i32x4_arith", "simd_f64x2_arith", "simd_load", "simd_conversions")
NATIVE = (
    *("i32", "i64", "f32", "conversions", "int_exprs", "call", "call_indirect", "br_table", "left-to-right"),
    *("fac", "traps", "memory_grow", "memory_fill", "bulk", "simd_i32x4_arith", "simd_load"),
)
# These ask for 20 MB more, which an arena of 8 MiB does not have; memory.grow answers -1.
TOO_MUCH = {("call", 359), ("call_indirect", 603)}
SUMMARY = re.compile(rb" *ok +(\d+) +failed +(\d+) +first +(\d+)\n")
TRAPS_EACH = 2  # of each text and script: a trap takes a start of its own
FAILURES_FORGIVEN = 2  # in a row; after three a slot goes back to its former module
SLOT = 1


def chosen(names: tuple[str, ...]) -> list[Program]:
    folder = spec_tests_folder()
    if folder is None:
        pytest.skip("the specification's scripts are not here: set WASEL_SPEC_TESTS to their folder")
    if missing_tools() is not None:
        pytest.skip(str(missing_tools()))
    scripts = [folder / ("simd" if name in SIMD else "core") / f"{name}.wast" for name in names]
    return [program for script in scripts for program in programs(script)]


async def start(link: Link, arguments: int) -> Ended:
    cursor = (await link.slot(SLOT)).log_next
    await link.start(SLOT, ("script", *["x"] * arguments), (), lossless=True)
    return await follow(link, SLOT, cursor)


async def test_scripts(link: Link, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    passed, traps = await run_scripts(link, target, CORE + SIMD, capsys, tier="interpreter")
    assert passed > 10_000
    assert traps > 60


async def test_scripts_as_native_code(link: Link, target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    passed, traps = await run_scripts(link, target, NATIVE, capsys, tier="native")
    assert passed > 3_000
    assert traps > 20


async def run_scripts(
    link: Link, target: Target, names: tuple[str, ...], capsys: pytest.CaptureFixture[str], *, tier: str
) -> tuple[int, int]:
    """Run scripts in one tier; how many assertions hold, and how many traps came as they should."""
    passed = traps = made = 0
    problems: list[str] = []
    for program in chosen(names):
        made += 1
        data = program.data
        if tier == "native":
            data = await asyncio.to_thread(lambda data=data: add_section(data, compile_module(data, "aarch64").code))
        await install(link, SLOT, data)
        where = f"{program.script}, module of line {program.line}"
        ended = await start(link, 0)
        summary = SUMMARY.fullmatch(ended.stdout)
        if summary is None:
            problems.append(f"{where}: {ended.status.state} {ended.status.trap} {ended.status.error} {ended.stdout!r}")
            continue
        if ended.status.tier != tier:
            problems.append(f"{where}: ran in the tier {ended.status.tier}: {ended.status.tier_note}")
        ok, failed, first = map(int, summary.groups())
        allowed = (program.script, first) in TOO_MUCH
        if ok + failed != program.assertions or failed != allowed:
            problems.append(f"{where}: {ok} of {program.assertions} hold, the first that does not in line {first}")
        passed += ok
        taken: dict[str, int] = {}
        failures = 0
        for number, (line, text) in enumerate(program.traps, 1):
            taken[text] = taken.get(text, 0) + 1
            if taken[text] > TRAPS_EACH:
                continue
            if failures == FAILURES_FORGIVEN:
                await start(link, 0)
                failures = 0
            ended = await start(link, number)
            failures += 1
            trap = ended.status.trap or ""
            if ended.status.state != "trapped" or not (text.startswith(trap) or trap.startswith(text)):
                problems.append(f"{where}: line {line}: expected {text!r}, found {ended.status.state} {trap!r}")
            else:
                traps += 1
    with capsys.disabled():
        print(
            f"\n{target.kernel}: {passed} assertions of {made} modules of {len(names)} scripts, {traps} traps: {tier}"
        )
    assert not problems, "\n".join(problems)
    return passed, traps
