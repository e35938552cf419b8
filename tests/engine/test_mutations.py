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

from tests.engine.mutate import spec_modules
from tests.engine.sanitized import run_sanitized

if TYPE_CHECKING:
    from pathlib import Path

COUNT = int(os.environ.get("WASEL_MUTATIONS", "2000"))
TIMEOUT_S = 60 + COUNT / 10


def test_damaged_modules_are_refused_or_harmless(tmp_path: Path) -> None:
    modules = spec_modules()
    if isinstance(modules, str):
        pytest.skip(modules)
    seed = int(os.environ.get("WASEL_SEED", secrets.randbits(32)))
    current = tmp_path / "current.wasm"
    done = run_sanitized(
        "tests.engine.mutate", str(COUNT), str(seed), str(current), *map(str, modules), timeout_s=TIMEOUT_S
    )
    assert done.returncode == 0, f"WASEL_SEED={seed}: {current.read_bytes().hex()}\n{done.stderr[-4000:]}"
    result = json.loads(done.stdout)
    print(f"WASEL_SEED={seed}: {result['accepted']} accepted, {result['refused']} refused")
    assert not result["wrong"], f"WASEL_SEED={seed}: accepted, but not by wasmtime: {result['wrong'][:3]}"
    # Both ends of the funnel are exercised.
    assert result["accepted"] > COUNT // 50
    assert result["refused"] > COUNT // 50
