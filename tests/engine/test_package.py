# SPDX-License-Identifier: Apache-2.0
"""The package's surface, and the compiler helper's promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import edge_engine
from edge_engine import zig
from edge_engine.sources import ENGINE_SOURCES

if TYPE_CHECKING:
    from pathlib import Path


def test_all_names_are_there_and_documented() -> None:
    for name in edge_engine.__all__:
        item = getattr(edge_engine, name)
        assert name in {"FunctionType", "Import", "Value"} or item.__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = edge_engine.nothing


def test_sources_are_there_and_each_is_one_noun() -> None:
    assert len({path.name for path in ENGINE_SOURCES}) == len(ENGINE_SOURCES)
    for path in ENGINE_SOURCES:
        assert path.read_text().startswith("/* SPDX-License-Identifier: Apache-2.0 */\n")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    (tmp_path / "answer.h").write_text("#define ANSWER 42\n")
    source = tmp_path / "main.c"
    source.write_text('#include "answer.h"\nint main(void) { return ANSWER MORE; }\n')
    return source


def build(source: Path, more: str = "") -> Path:
    out = source.parent / "out"
    objects = zig.compile_objects([source], out, zig.DEVICE, ["-ffreestanding", f"-DMORE={more}"])
    return zig.link(objects, out / "main.elf", zig.DEVICE, ["-nostdlib", "-Wl,-e,main"])


def test_nothing_is_built_twice_and_changes_are_seen(program: Path) -> None:
    first = build(program)
    stamp = first.stat().st_mtime_ns
    assert first.read_bytes().startswith(b"\x7fELF")
    assert build(program).stat().st_mtime_ns == stamp
    other_flags = build(program, "+1").stat().st_mtime_ns
    assert other_flags != stamp
    program.write_text(program.read_text().replace("return", "return 7 *"))
    other_source = build(program, "+1").stat().st_mtime_ns
    assert other_source != other_flags
    assert build(program, "+1").stat().st_mtime_ns == other_source
    assert not [path for path in (program.parent / "out").iterdir() if path.name.startswith(".")]


def test_a_header_that_changes_is_seen(program: Path) -> None:
    before = build(program).read_bytes()
    (program.parent / "answer.h").write_text("#define ANSWER 43\n")
    assert build(program).read_bytes() != before


def test_failures_carry_the_compilers_words(program: Path) -> None:
    program.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(zig.ToolError, match="undeclared identifier 'nothing'") as failure:
        build(program)
    assert str(program) in failure.value.command
    assert not list((program.parent / "out").glob("*.o"))
