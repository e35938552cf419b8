# SPDX-License-Identifier: Apache-2.0
"""`wasel watch`: a save ends in new output, a broken build in its message, Ctrl-C in nothing left running."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.scaffold import LANGUAGES, make_project
from qemu.boards import BOARDS

pytestmark = pytest.mark.system

WASEL = Path(sys.executable).with_name("wasel")
PATIENCE_S = 600  # the first one may have to build the simulator on a busy machine


class Watched:
    """A running `wasel watch` (or another command that watches) and what it wrote on both streams."""

    def __init__(self, folder: Path, *command: str) -> None:
        self.process = subprocess.Popen(
            [WASEL, *command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self._text = ""
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._text += line.decode()
                self._changed.notify_all()

    def expect(self, words: str) -> None:
        """Wait for words in what was written since the last call."""
        with self._changed:
            assert self._changed.wait_for(lambda: words in self._text, PATIENCE_S), self._text
            self._text = self._text.partition(words)[2]


@contextlib.contextmanager
def watching(folder: Path, *command: str) -> Iterator[Watched]:
    watched = Watched(folder, *command)
    try:
        yield watched
        watched.process.send_signal(signal.SIGINT)
        assert watched.process.wait(PATIENCE_S) == 0
    finally:
        watched.process.kill()
        watched.process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path / "blink", "c")
    return tmp_path / "blink"


def save(source: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert old in text
    time.sleep(0.01)  # file systems tell times apart by milliseconds at worst
    source.write_text(text.replace(old, new))


@pytest.mark.parametrize("on", ["sim", "qemu"])
def test_a_save_runs_the_new_program(project: Path, on: str) -> None:
    if on == "qemu" and shutil.which(BOARDS[0].program) is None:
        pytest.skip(f"{BOARDS[0].program} is not installed")
    source = project / "src" / "main.c"
    with watching(project, "watch", "--on", on) as watched:
        watched.expect("first output ")
        watched.expect("hello from blink\nargument 1: first\n")
        watched.expect("exit code 0; waiting for the next save")
        save(source, "hello from", "good morning from")
        watched.expect("good morning from blink\n")
        save(source, "return 0;", "return broken;")
        watched.expect("'broken'")
        save(source, "return broken;", "for (;;) {}")
        watched.expect("good morning from blink\n")
        save(source, "for (;;) {}", "return 3;")
        watched.expect("exit code 3; waiting")


@pytest.mark.parametrize(
    ("lang", "old", "new"),
    [("zig", "hello from", "good morning from"), ("javascript", "hello from", "good morning from")],
)
def test_other_languages_loop_as_well(tmp_path: Path, lang: str, old: str, new: str) -> None:
    make_project(tmp_path / "blink", lang)
    with watching(tmp_path / "blink", "watch") as watched:
        watched.expect("hello from blink\n")
        watched.expect("exit code 0; waiting for the next save")
        save(tmp_path / "blink" / LANGUAGES[lang].source, old, new)
        watched.expect("good morning from blink\n")


@pytest.mark.parametrize("place", ["sim", "qemu"])
def test_one_command_and_one_save_from_nothing_to_a_changed_line(tmp_path: Path, place: str) -> None:
    """docs/index.md: after `make demo`, this is all there is to it."""
    if place == "qemu" and shutil.which(BOARDS[0].program) is None:
        pytest.skip(f"{BOARDS[0].program} is not installed")
    with watching(tmp_path, "new", "blink", "--watch", place) as watched:
        watched.expect("save blink/src/main.c")
        watched.expect("hello from blink\n")
        save(tmp_path / "blink" / "src" / "main.c", "hello from", "good morning from")
        watched.expect("good morning from blink\n")


def refusal(folder: Path, *arguments: str) -> str:
    """What a command that is refused for its options says."""
    done = subprocess.run(
        [WASEL, *arguments], cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    return done.stderr


def test_a_place_that_there_is_not_is_refused_before_a_project_is_made(tmp_path: Path) -> None:
    said = refusal(tmp_path, "new", "blink", "--watch", "moon")
    assert "moon: not supported; there is: qemu, sel4, sim" in said
    assert list(tmp_path.iterdir()) == []


def test_options_that_contradict_are_refused(project: Path) -> None:
    said = refusal(project, "watch", "--on", "sim", "--port", "/dev/null")
    assert "leave it out to use --device or --port" in said
