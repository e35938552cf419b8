# SPDX-License-Identifier: Apache-2.0
"""The README's shell blocks run as they stand, in the repository, except those that `make` itself is."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from qemu.demo import EXPECTED
from scripts.record_demo import picture

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
BLOCK_TIMEOUT_S = 300


def of(word: str) -> str:
    """Return the one block that holds a word."""
    found = [block for block in BLOCKS if word in block]
    assert len(found) == 1, f"{word!r} is in {len(found)} of the README's shell blocks"
    return found[0]


def run(block: str, state: Path) -> str:
    """Run a block with a state folder of its own and return what it printed."""
    done = subprocess.run(
        ["bash", "-e", "-c", block],
        cwd=ROOT,
        env={**os.environ, "WASEL_STATE": str(state), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=BLOCK_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_block_is_accounted_for() -> None:
    """A new block in the README needs a test here; `make demo` and `make test` are run by people and by CI."""
    assert len(BLOCKS) == 3
    assert of("make demo").splitlines()[1].startswith("make test")


def test_the_picture_of_the_demo_stands_alone() -> None:
    """It is the README's, well-formed, shows the lines that the demo checks, and asks no host for anything."""
    [name] = re.findall(
        r"^!\[[^\]]{20,}\]\(([^)]+\.svg)\)$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    text = (ROOT / name).read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314 - our own file
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert set(re.findall(r"https?://[^\s\"'<>)]+", text)) == {"http://www.w3.org/2000/svg"}
    shown = " ".join("".join(root.itertext()).replace("\xa0", " ").split())
    for line in (line for lines in EXPECTED.values() for line in lines):
        assert line in shown
    assert "everything is down again" in shown


def test_the_picture_of_lines_is_the_same_each_time_and_fetches_nothing() -> None:
    drawn = picture(["$ make demo", "a < b & c"])
    assert drawn == picture(["$ make demo", "a < b & c"])
    ET.fromstring(drawn)  # noqa: S314 - made here
    assert set(re.findall(r"https?://[^\s\"'<>)]+", drawn)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.system
def test_the_five_minutes(tmp_path: Path) -> None:
    """The C program runs on the host, on a device of its own, and in slot 1 of a device that stays."""
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    (ROOT / "build").mkdir(exist_ok=True)
    out = run(of("count.c"), tmp_path)
    assert out.splitlines() == [
        *(f"host {i}" for i in (1, 2, 3)),
        "exit code 7",
        *(f"qemu {i}" for i in (1, 2, 3)),
        "exit code 7",
    ]
    out = run(of("wasel device up lab"), tmp_path)
    assert "exit code 7" in out
    assert "count 3" in out
