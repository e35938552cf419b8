# SPDX-License-Identifier: Apache-2.0
"""The example of tests with the plugin passes as its README says."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "pytest"


def run_pytest(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=EXAMPLE.parents[1])
    return done.stdout + done.stderr


@pytest.mark.system
def test_the_example() -> None:
    promised = re.search(r"^(\d+) passed$", (EXAMPLE / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert promised is not None
    out = run_pytest(EXAMPLE)
    passed, skipped = (re.search(rf"(\d+) {word}", out) for word in ("passed", "skipped"))
    assert "failed" not in out, out
    assert "error" not in out, out
    assert int(passed[1] if passed else 0) + int(skipped[1] if skipped else 0) == int(promised[1]), out


def test_a_wrong_marker_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.wasel(speed=2)\ndef test_it(wasel_sim):\n    pass\n", encoding="utf-8"
    )
    assert "marker wasel takes" in run_pytest(tmp_path)


def test_expect_says_what_came_instead(tmp_path: Path, program: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from pathlib import Path\n"
        "def test_it(wasel_sim):\n"
        f"    wasel_sim.flash(Path({str(program)!r}))\n"
        "    wasel_sim.start(args=('program', 'c'))\n"
        "    wasel_sim.expect('never', timeout_s=0.3)\n",
        encoding="utf-8",
    )
    out = run_pytest(tmp_path)
    assert "no 'never' within 0.3 s; the slot is exited and wrote: " in out
