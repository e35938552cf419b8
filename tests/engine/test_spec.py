# SPDX-License-Identifier: Apache-2.0
"""The specification's own scripts, one test each: interpreted, native, under sanitizers, with explicit checks."""

from __future__ import annotations

import json
import platform
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge_engine.aot.compiler import TARGETS
from tests.engine.sanitized import run_sanitized, run_with_explicit_checks
from tests.engine.spec import run_script
from tests.engine.wast import complete_table_indices, missing_tools, spec_tests_folder

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable

    Runner = Callable[..., subprocess.CompletedProcess[str]]

FOLDERS = ("core", "simd")
OTHER_BUILDS_TIMEOUT_S = 900


def _scripts() -> list[Path]:
    folder = spec_tests_folder()
    return [] if folder is None else [script for name in FOLDERS for script in sorted((folder / name).glob("*.wast"))]


def _why_not() -> str | None:
    if spec_tests_folder() is None:
        return "the specification's test scripts are not here (set WASEL_SPEC_TESTS to a folder with core/ and simd/)"
    return missing_tools()


def _expected(script: str) -> dict[int, str]:
    rows: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "expected_failures.toml").read_text())[
        "failure"
    ]
    return {row["line"]: row["found"] for row in rows if row["script"] == script}


def _unexpected(script: str, failures: Iterable[tuple[int, str]]) -> list[str]:
    """Failures that no row expects, and rows that no failure meets."""
    expected = _expected(script)
    problems = []
    for line, text in failures:
        found = expected.pop(line, None)
        if found is None or found not in text:
            problems.append(f"{script}.wast:{line}: {text}")
    return problems + [f"{script}.wast:{line}: expected to fail, but passes" for line in expected]


SCRIPTS = _scripts()
needs_scripts = pytest.mark.skipif(_why_not() is not None, reason=str(_why_not()))


@needs_scripts
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_script(script: Path, record_property: Any) -> None:
    report = run_script(script)
    record_property("assertions", (report.passed, len(report.failures), report.skipped))
    problems = _unexpected(script.stem, report.failures)
    assert not problems, f"{len(problems)} of {report.passed + len(report.failures)}:\n" + "\n".join(problems[:20])
    assert report.passed + report.skipped > 0


@needs_scripts
@pytest.mark.skipif(platform.machine() not in TARGETS, reason=f"no native code for {platform.machine()}")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_script_as_native_code(script: Path) -> None:
    report = run_script(script, native=True)
    problems = _unexpected(script.stem, report.failures)
    assert not problems, f"{len(problems)} of {report.passed + len(report.failures)}:\n" + "\n".join(problems[:20])
    assert report.passed + report.skipped > 0


@needs_scripts
@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("run", [run_sanitized, run_with_explicit_checks])
def test_scripts_on_other_builds(run: Runner, folder: str) -> None:
    scripts = [str(path) for path in SCRIPTS if path.parent.name == folder]
    done = run("tests.engine.spec", *scripts, timeout_s=OTHER_BUILDS_TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-4000:]
    problems: list[str] = []
    reports = json.loads(done.stdout)
    assert len(reports) == len(scripts)
    for script, report in reports.items():
        problems += _unexpected(script, [(line, text) for line, text in report["failures"]])
    assert not problems, "\n".join(problems[:20])


def test_table_indices_are_completed_only_where_left_out() -> None:
    text = (
        "(table.get (i32.const 0)) (table.size) table.set $t ;; table.get\n"
        '(table.grow 1 (x)) "table.fill )" (; table.get ;)'
    )
    assert complete_table_indices(text) == (
        "(table.get 0 (i32.const 0)) (table.size 0) table.set $t ;; table.get\n"
        '(table.grow 1 (x)) "table.fill )" (; table.get ;)'
    )
