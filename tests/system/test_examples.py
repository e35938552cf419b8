# SPDX-License-Identifier: Apache-2.0
"""Each example's README: its shell blocks, run one after the other in the repository, print its expected output."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qemu.boards import BOARDS
from tests.system.modules import ROOT

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which(BOARDS[0].program) is None, reason=f"{BOARDS[0].program} is not installed"),
]
READMES = sorted(ROOT.glob("examples/*/README.md"))


@pytest.mark.parametrize("readme", READMES, ids=[path.parent.name for path in READMES])
def test_an_example_prints_what_its_readme_says(readme: Path, tmp_path: Path) -> None:
    blocks = re.findall(r"^```(sh)?\n(.*?)^```", readme.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    commands = [text for kind, text in blocks if kind == "sh"]
    (expected,) = [text for kind, text in blocks if not kind]
    assert commands
    done = subprocess.run(
        ["bash", "-e", "-c", "".join(commands)],
        cwd=ROOT,
        env={**os.environ, "WASEL_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, expected), done.stderr
