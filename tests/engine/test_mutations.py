# SPDX-License-Identifier: Apache-2.0
"""Damaged modules under sanitizers, compared with wasmtime.

WASEL_MUTATIONS is how many (2000), WASEL_SEED which (a fresh seed each time).
"""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

import pytest

from tests.engine.sanitized import run_sanitized
from tests.engine.wast import convert, missing_tools, spec_tests_folder

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("wasmtime", reason="wasmtime (the bench extra) is not installed")

COUNT = int(os.environ.get("WASEL_MUTATIONS", "2000"))
TIMEOUT_S = 60 + COUNT / 10
MOST_SEED_BYTES = 4096
# Scripts whose modules hold every kind of section and instruction.
SEEDS = ("block", "br_table", "bulk", "call_indirect", "conversions", "data", "elem", "exports", "float_exprs", "func",
         "global", "if", "imports", "linking", "loop", "memory_grow", "memory_trap", "ref_func", "select", "start",
         "table_copy", "table_grow", "table_init", "traps", "unreached-valid")  # fmt: skip
SIMD_SEEDS = ("simd_lane", "simd_load", "simd_bitwise", "simd_conversions", "simd_store8_lane")


def _seed_modules() -> list[str]:
    folder = spec_tests_folder()
    if folder is None:
        pytest.skip("the specification's test scripts are not here")
    reason = missing_tools()
    if reason is not None:
        pytest.skip(reason)
    files: list[str] = []
    for group, names in (("core", SEEDS), ("simd", SIMD_SEEDS)):
        for name in names:
            where, commands = convert(folder / group / f"{name}.wast")
            modules = [where / command["filename"] for command in commands if command["type"] == "module"]
            files += [str(path) for path in modules if path.stat().st_size <= MOST_SEED_BYTES][:6]
    return files


def test_damaged_modules_are_refused_or_harmless(tmp_path: Path) -> None:
    seed = int(os.environ.get("WASEL_SEED", secrets.randbits(32)))
    current = tmp_path / "current.wasm"
    done = run_sanitized(
        "tests.engine.mutate", str(COUNT), str(seed), str(current), *_seed_modules(), timeout_s=TIMEOUT_S
    )
    assert done.returncode == 0, f"WASEL_SEED={seed}: {current.read_bytes().hex()}\n{done.stderr[-4000:]}"
    result = json.loads(done.stdout)
    print(f"WASEL_SEED={seed}: {result['accepted']} accepted, {result['refused']} refused")
    assert not result["wrong"], f"WASEL_SEED={seed}: accepted, but not by wasmtime: {result['wrong'][:3]}"
    # Both ends of the funnel are exercised.
    assert result["accepted"] > COUNT // 50
    assert result["refused"] > COUNT // 50
