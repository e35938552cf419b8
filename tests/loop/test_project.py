# SPDX-License-Identifier: Apache-2.0
"""Project files, templates and builds; the languages that need nothing but wasel are built and run."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.build import BuildFailedError, build_project
from agent.errors import UsageError
from agent.project import ProjectError, load_project, parse_project
from agent.scaffold import LANGUAGES, make_project
from agent.snapshot import changed, take_snapshot

GOOD = 'file = "build/a.wasm"\nbuild = ["cc", "a.c"]\nsources = ["src", "wasel.toml"]\n'
WASEL = Path(sys.executable).with_name("wasel")


def wasel(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [WASEL, *arguments], cwd=cwd, capture_output=True, text=True, timeout=900, check=False, stdin=subprocess.DEVNULL
    )


def test_a_project_file_says_how_to_build_and_run(tmp_path: Path) -> None:
    project = parse_project(GOOD + '[run]\nargs = ["x"]\nenv = { K = "V" }\n', tmp_path)
    assert project.file == tmp_path / "build" / "a.wasm"
    assert project.build == ("cc", "a.c")
    assert project.sources == (tmp_path / "src", tmp_path / "wasel.toml")
    assert (project.args, project.env) == (("x",), (("K", "V"),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file = ", "is not TOML"),
        (GOOD.replace("file", "fiel"), "fiel: no such key"),
        (GOOD + "[run]\nargv = []\n", "run.argv: no such key"),
        (GOOD.replace('file = "build/a.wasm"\n', ""), "file is missing"),
        (GOOD.replace('"build/a.wasm"', '"/etc/a.wasm"'), "leads out of the project's folder"),
        (GOOD.replace('"src"', '"../src"'), "leads out of the project's folder"),
        (GOOD.replace('["cc", "a.c"]', "[]"), "build: 0 texts"),
        (GOOD.replace('["cc", "a.c"]', '"cc a.c"'), "build: a list of texts is needed"),
        (GOOD + "run = 1\n", "run: a table is needed"),
        (GOOD + "[run]\nenv = { K = 1 }\n", "run.env: a table of texts"),
    ],
)
def test_a_wrong_project_file_is_refused_by_key(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ProjectError, match=r".") as caught:
        parse_project(text, tmp_path)
    assert words in str(caught.value)


def test_no_project_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="wasel new"):
        load_project(tmp_path)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_template_makes_a_project(tmp_path: Path, lang: str) -> None:
    names = make_project(tmp_path / "blink", lang)
    project = load_project(tmp_path / "blink")
    assert {"README.md", "manifest.toml", "wasel.toml", "test_module.py", LANGUAGES[lang].source} <= set(names)
    for name in names:
        text = (tmp_path / "blink" / name).read_text(encoding="utf-8")
        assert "@NAME@" not in text.replace("@NAME@.wasm", "@NAME@")
        assert not any(word in text for word in ("@NAME@", "@LANGUAGE@", "@NEEDS@", "@SOURCE@"))
    assert project.file.name == "blink.wasm"
    assert all(source.exists() for source in project.sources)


@pytest.mark.parametrize(
    ("name", "lang", "words"),
    [
        ("blink", "cobol", "--lang cobol: not supported; there is: c, "),
        ("Blink", "c", "small letters"),
        ("../up/blink", "c", "no such folder"),
    ],
)
def test_what_cannot_be_a_project_is_refused(tmp_path: Path, name: str, lang: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_project(tmp_path / name, lang)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    make_project(tmp_path / "blink", "c")
    (tmp_path / "blink" / "src" / "main.c").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        make_project(tmp_path / "blink", "c")
    assert (tmp_path / "blink" / "src" / "main.c").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["blink"]


@pytest.mark.parametrize("lang", ["c", "zig", "javascript"])
def test_languages_that_need_nothing_else_build_and_run(tmp_path: Path, lang: str) -> None:
    done = wasel("new", "blink", "--lang", lang, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "blink"
    done = wasel("build", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("build/blink.wasm: ")
    done = wasel("run", "build/blink.wasm", "first", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "hello from blink\nargument 1: first\n"), done.stderr


@pytest.mark.skipif(shutil.which("tinygo") is not None, reason="TinyGo is installed: nothing is missing")
def test_a_missing_toolchain_is_named_with_what_to_install(tmp_path: Path) -> None:
    make_project(tmp_path / "blink", "tinygo")
    with pytest.raises(BuildFailedError, match="needs tinygo, which is not installed: TinyGo"):
        build_project(load_project(tmp_path / "blink"))


def test_a_build_that_fails_shows_what_it_printed(tmp_path: Path) -> None:
    make_project(tmp_path / "blink", "c")
    (tmp_path / "blink" / "src" / "main.c").write_text("int main(void) { return nonsense; }\n")
    with pytest.raises(BuildFailedError, match="nonsense"):
        build_project(load_project(tmp_path / "blink"))


def test_a_build_that_makes_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "wasel.toml").write_text(GOOD.replace('["cc", "a.c"]', '["true"]'))
    with pytest.raises(BuildFailedError, match="made no"):
        build_project(load_project(tmp_path))


async def test_a_save_is_noticed_and_nothing_else(tmp_path: Path) -> None:
    source, other = tmp_path / "src", tmp_path / "build"
    source.mkdir()
    other.mkdir()
    (source / "a.c").write_text("1")
    before = take_snapshot([source])
    (other / "a.o").write_text("1")
    assert take_snapshot([source]) == before
    (source / "a.c").write_text("22")
    assert set(await changed([source], before)) == {source / "a.c"}
    (source / "a.c").unlink()
    assert take_snapshot([source]) == {}
