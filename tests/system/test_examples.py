# SPDX-License-Identifier: Apache-2.0
"""Each example does what its README says: its shell blocks, run in one shell in the repository, print what it prints.

A block without a language is what the shell block before it prints, on both streams; "..." stands for anything within
a line, and alone on a line for any lines. A shell block that none follows prints nothing.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from qemu.boards import BOARDS
from tests.system.modules import ROOT

pytestmark = pytest.mark.system
READMES = sorted(ROOT.glob("examples/*/README.md"))
FENCES = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
MARK = "=== next block ==="
TIMEOUT_S = 900


def blocks(readme: Path) -> list[tuple[str, str]]:
    """Return the shell blocks, each with what it prints."""
    found: list[tuple[str, str]] = []
    for fence in FENCES.finditer(readme.read_text(encoding="utf-8")):
        if fence["kind"] == "sh":
            found.append((fence["text"], ""))
        elif not fence["kind"]:
            assert found, "output before the first command"
            assert not found[-1][1], "two outputs of one block"
            found[-1] = (found[-1][0], fence["text"])
    return found


def pattern(expected: str) -> str:
    """Return the regular expression for an expected output."""
    text = re.escape(expected)
    text = re.sub(r"^\\\.\\\.\\\.\\?\n", r"(?:.*\\n)*?", text, flags=re.MULTILINE)
    return text.replace(re.escape("..."), ".*")


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def test_the_pattern_of_an_output() -> None:
    assert re.fullmatch(pattern("a ... b\n...\nend\n"), "a 1 b\nx\ny\nend\n")
    assert re.fullmatch(pattern("a ... b\n...\nend\n"), "a 1 b\nend\n")
    assert not re.fullmatch(pattern("a ... b\n"), "a 1\n b\n")
    assert not re.fullmatch(pattern("a.c\n"), "abc\n")


@pytest.mark.parametrize("readme", READMES, ids=[path.parent.name for path in READMES])
def test_an_example_prints_what_its_readme_says(readme: Path, tmp_path: Path) -> None:
    found = blocks(readme)
    assert any(expected for _, expected in found), "nothing is expected"
    script = f"echo '{MARK}'\n".join(commands for commands, _ in found)
    if re.search(r"device up|--on qemu|pytest", script) and shutil.which(BOARDS[0].program) is None:
        pytest.skip(f"{BOARDS[0].program} is not installed")
    environment = {
        **os.environ,
        "WASEL_STATE": str(tmp_path / "state"),
        "WASEL_PROFILE": str(tmp_path / "no-profile"),
        "COLUMNS": "200",
        "PORT": free_port(),
        "SERVER": free_port(),
    }
    printed = tmp_path / "printed"  # a file: what runs in the background would keep a pipe open
    with printed.open("wb") as output:
        process = subprocess.Popen(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        process.wait(TIMEOUT_S)
    finally:
        with contextlib.suppress(ProcessLookupError):  # what the shell left in the background, if it failed
            os.killpg(process.pid, signal.SIGKILL)
        down = [sys.executable, "-P", "-m", "agent", "device", "down", "--all"]
        subprocess.run(down, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    text = printed.read_text(encoding="utf-8", errors="replace")
    assert process.returncode == 0, text
    for (commands, expected), got in zip(found, text.split(MARK + "\n"), strict=True):
        assert re.fullmatch(pattern(expected), got), f"{commands}\nprinted\n{got}\ninstead of\n{expected}"
