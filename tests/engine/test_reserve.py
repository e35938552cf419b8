# SPDX-License-Identifier: Apache-2.0
"""A program that takes all the memory it can get still has room for functions that it calls for the first time."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_engine import Instance, Limits, Module
from tests.engine.wast import missing_tools

if TYPE_CHECKING:
    from pathlib import Path

FUNCTIONS = 24  # their translations fit into an eighth of the arena, which is what growing leaves
BODY = "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 3)) (i32.const 1)))" * 100


@pytest.mark.parametrize("arena_kib", range(512, 576, 4))
def test_functions_run_after_memory_has_grown_to_its_end(tmp_path: Path, arena_kib: int) -> None:
    why = missing_tools()
    if why:
        pytest.skip(why)
    functions = " ".join(
        f'(func (export "f{n}") (param i32) (result i32) {BODY} (local.get 0))' for n in range(FUNCTIONS)
    )
    text = f"""(module (memory 1) {functions}
      (func (export "grow") (result i32)
        (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) memory.size))"""
    (tmp_path / "m.wat").write_text(text)
    subprocess.run(["wat2wasm", "m.wat", "-o", "m.wasm"], cwd=tmp_path, check=True, timeout=30)
    with Instance(Module((tmp_path / "m.wasm").read_bytes()), limits=Limits(arena_size=arena_kib << 10)) as instance:
        instance.start()
        pages = instance.call("grow")
        assert pages >= 1
        results = {instance.call(f"f{n}", 7) for n in range(FUNCTIONS)}
        expected = 7
        for _ in range(100):
            expected = (expected * 3 + 1) & 0xFFFFFFFF
        assert results == {expected - (1 << 32) if expected >> 31 else expected}
