# SPDX-License-Identifier: Apache-2.0
"""Traps inside nested and indirect calls carry the names of all frames, on the device as on the host, in both tiers."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from edge_engine import Instance, Limits, Module, Trap
from edge_engine.aot.compiler import compile_module
from edge_engine.aot.section import add_section
from tests.system.conftest import run_module

if TYPE_CHECKING:
    from pathlib import Path

    from agent.link.device import Device as Link

pytestmark = pytest.mark.system

TEXT = """(module (memory (export "memory") 1) (table 4 funcref) (elem (i32.const 1) $trapping)
  (type $t (func (param i32) (result i32)))
  (func $trapping (param i32) (result i32) %s)
  (func $indirect (param i32) (result i32)
    (i32.add (i32.const 1) (call_indirect (type $t) (local.get 0) (i32.const 1))))
  (func $nested (param i32) (result i32) (block (result i32) (call $indirect (local.get 0))))
  (func $tail (param i32) (result i32) (return_call $nested (local.get 0)))
  (func $interpreted (param i32) (result i32)
    (if (i32.eqz (local.get 0)) (then (return_call $two (i32.const 1) (i32.const 2))))
    (call $tail (local.get 0)))
  (func $two (param i32 i32) (result i32) (i32.const 0))
  (func $main (export "_start") (drop (call $interpreted (i32.const 70000)))))"""
CAUSES = {
    "unreachable": "unreachable",
    "integer divide by zero": "(i32.div_u (local.get 0) (i32.const 0))",
    "out of bounds memory access": "(i32.load offset=4096 (local.get 0))",
    "undefined element": "(call_indirect (type $t) (local.get 0) (local.get 0))",
}
FRAMES = ["trapping", "indirect", "nested", "interpreted", "main"]  # a tail call leaves no frame


def names(backtrace: str) -> list[str]:
    return [line.split()[1] for line in backtrace.splitlines()]


def assembled(folder: Path, text: str) -> bytes:
    if shutil.which("wat2wasm") is None:
        pytest.skip("wat2wasm is not installed (Debian: apt-get install wabt)")
    source, output = folder / "m.wat", folder / "m.wasm"
    source.write_text(text)
    command = ["wat2wasm", "--debug-names", "--enable-tail-call", str(source), "-o", str(output)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return output.read_bytes()


@pytest.mark.parametrize("cause", CAUSES)
async def test_frames_have_names_through_both_tiers(link: Link, tmp_path: Path, cause: str) -> None:
    data = assembled(tmp_path, TEXT % CAUSES[cause])
    compiled = compile_module(data, "aarch64")
    assert len(compiled.refused) == 1
    ended = (await run_module(link, 0, add_section(data, compiled.code))).status
    assert (ended.state, ended.trap, ended.tier) == ("trapped", cause, "native")
    assert names(ended.backtrace or "") == FRAMES


@pytest.mark.parametrize("cause", CAUSES)
async def test_frames_have_names(link: Link, tmp_path: Path, cause: str) -> None:
    data = assembled(tmp_path, TEXT % CAUSES[cause])
    with Instance(Module(data), limits=Limits(arena_size=1 << 20)) as instance:
        instance.start()
        with pytest.raises(Trap) as caught:
            instance.call("_start")
    assert (caught.value.text, names(caught.value.backtrace)) == (cause, FRAMES)
    ended = await run_module(link, 0, data)
    assert (ended.status.state, ended.status.trap) == ("trapped", cause)
    assert ended.status.backtrace == caught.value.backtrace
