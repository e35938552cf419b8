# SPDX-License-Identifier: Apache-2.0
"""`make check` reads our C with clang-tidy: all of it, with the builds' own flags, and what it finds counts."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from edge_engine.zig import DEVICE, HOST, JOBS, ROOT, Compilation, Target, compile_objects, recorded
from scripts.tidy import CHECKS, OURS, compilations, read

if TYPE_CHECKING:
    from pathlib import Path

SOUND = """int sum(const int *values, int count)
{
    int total = 0;
    for (int i = 0; i < count; i++)
        total += values[i];
    return total;
}
"""
BEYOND_THE_END = """#include <stdint.h>
int last(void);
int last(void)
{
    int few[2] = {1, 2};
    int *p = few;
    return p[2];
}
"""
MULTIPLIED_TOO_LATE = """#include <stddef.h>
#include <stdint.h>
const uint8_t *at(const uint8_t *table, uint32_t row, uint32_t size);
const uint8_t *at(const uint8_t *table, uint32_t row, uint32_t size)
{
    return table + row * size;
}
"""
NO_SUCH_HEADER = '#include "there_is_no_such_header.h"\n'


def compiled(folder: Path, name: str, text: str, target: Target) -> Compilation:
    source = folder / f"{name}.c"
    source.write_text(text)
    return Compilation(source, folder / f"{name}.o", target, ("-std=c17", "-Werror"))


@pytest.mark.parametrize("target", [HOST, DEVICE], ids=["host", "device"])
@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (BEYOND_THE_END, "clang-analyzer-security.ArrayBound"),
        (MULTIPLIED_TOO_LATE, "bugprone-implicit-widening-of-multiplication-result"),
        (NO_SUCH_HEADER, "file not found"),
    ],
)
def test_a_defect_is_found_every_time(text: str, finding: str, target: Target, tmp_path: Path) -> None:
    item = compiled(tmp_path, "bad", text, target)
    assert finding in read(item)
    assert finding in read(item), "what failed once was not read again"


def test_what_passed_is_read_again_when_it_changes(tmp_path: Path) -> None:
    item = compiled(tmp_path, f"sum_{tmp_path.name}", SOUND, HOST)
    assert read(item) == ""
    item.source.write_text(BEYOND_THE_END)
    assert "ArrayBound" in read(item)


def test_builds_say_what_they_compile_stale_or_not(tmp_path: Path) -> None:
    source = tmp_path / "sum.c"
    source.write_text(SOUND)
    for _ in range(2):
        with recorded() as record:
            (made,) = compile_objects([source], tmp_path / "objects", HOST, ("-Os",))
        assert record == [Compilation(source, made, HOST, ("-Os",))]
        assert record[0].inputs() == [source]
    compile_objects([source], tmp_path / "objects", HOST, ("-Os",))
    assert len(record) == 1, "it went on recording"


def test_no_file_of_ours_is_left_out() -> None:
    names = ["git", "ls-files", "-z", *(f"{folder}/*.c" for folder in OURS)]
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: git cannot say which files are ours")
    done = subprocess.run(names, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    ours = {ROOT / name for name in done.stdout.split("\0") if name}
    assert len(ours) > 100
    assert ours <= {item.source for item in compilations()}


def test_nothing_is_found_in_our_c() -> None:
    """When this fails: python -m scripts.tidy prints the findings."""
    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        findings = [text for text in pool.map(read, compilations()) if text]
    assert not findings, "".join(findings)


def test_every_check_that_is_left_out_has_its_reason() -> None:
    lines = CHECKS.read_text(encoding="utf-8").splitlines()
    left_out = [number for number, line in enumerate(lines) if line.startswith("  - '-") and line != "  - '-*'"]
    assert left_out
    for number in left_out:
        above = lines[number - 1].strip()
        assert above.startswith(("# ", "- '-")), f"{CHECKS}:{number + 1}: {lines[number]} needs a comment that says why"
    assert "WarningsAsErrors: '*'" in lines
