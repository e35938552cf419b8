# SPDX-License-Identifier: Apache-2.0
"""The documentation as people meet it: it builds with every link right, and its commands do what they say.

A page's shell blocks are run one after the other in an empty folder, with the commands of this environment, unless a
comment before a block says why it can't be: `<!-- not run: reason -->`. mkdocs counts no warnings with `-q`, so that a
strict build would let everything pass: leave it out.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.reference.commands import command_reference

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:^<!-- not run: (?P<reason>.+?) -->\n)?^```sh\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = sorted(page for page in DOCS.rglob("*.md") if BLOCK.search(page.read_text(encoding="utf-8")))
TIMEOUT_S = 1200
EXPECTED = {
    "index.md": [*(["hello from blink", "argument 1: first"] * 3), "1 passed", "hello from blink"],
    "howto/test.md": ["3 passed"],
    "howto/javascript.md": ["3 words, 6 letters", "for you"],
}


def blocks(page: Path) -> list[str]:
    """Return a page's blocks that are to be run."""
    return [
        found["text"]
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if not (found["reason"] or "").strip()
    ]


@pytest.mark.system
@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])
def test_what_a_page_says_works(page: Path, tmp_path: Path) -> None:
    commands = blocks(page)
    if not commands:
        pytest.skip("every block says why it is not run")
    if "qemu" in "".join(commands) and shutil.which("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is not installed")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "WASEL_STATE": str(tmp_path / "state"),
        "WASEL_PROFILE": str(tmp_path / "no-profile"),
    }
    folder = tmp_path / "folder"
    folder.mkdir()
    try:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", "".join(commands)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    finally:
        down = [sys.executable, "-P", "-m", "agent", "device", "down", "--all"]
        subprocess.run(down, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    lines = done.stdout.splitlines()
    for expected in EXPECTED.get(str(page.relative_to(DOCS)), []):
        assert expected in lines, done.stdout
        lines = lines[lines.index(expected) + 1 :]


def test_the_site_builds_with_every_link_right(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=\"https?://(?!squidfunk|www\.mkdocs)[^\"]+", page), (
        "a page asks a foreign host"
    )


def test_a_page_that_nobody_finds_is_refused(tmp_path: Path) -> None:
    """Every page is in mkdocs.yml's nav: the strict build says so."""
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    (tmp_path / "docs" / "lost.md").write_text("# Lost\n")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode != 0
    assert "lost.md" in done.stdout + done.stderr


def test_the_reference_has_every_command() -> None:
    page = command_reference()
    for command in ("run", "flash", "device up", "trace", "compile", "root sign", "fleet serve", "javascript", "watch"):
        assert f"## `wasel {command}`" in page
    assert "| `--on &lt;str&gt;` |" in page or "| `--on <str>` |" in page


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_out_of_the_front_pages_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / target).exists(), f"{name} links to {target}"
