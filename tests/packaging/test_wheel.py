# SPDX-License-Identifier: Apache-2.0
"""The wheel, in an empty virtual environment far from the repository: runs modules, brings no compiler."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from qemu.boards import BOARDS
from qemu.demo import build_hello
from tests.system.modules import ROOT

pytestmark = pytest.mark.system

PACKAGES = {"agent", "edge_engine", "fleet", "qemu", "sel4_bridge"}
TIMEOUT_S = 900
ENVIRONMENT = ("PATH", "HOME", "LANG", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE")


def call(command: list[str], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run with little of our environment: nothing of the repository may help."""
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    return subprocess.run(
        command, cwd=cwd, env=kept | environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wasel(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command, in an environment of its own."""
    folder = tmp_path_factory.mktemp("venv")
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", str(wheel)],
    ):
        done = call(command, folder)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "bin" / "wasel"


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "hello.wasm"
    shutil.copyfile(build_hello(1).path, path)
    return path


def test_nothing_lies_outside_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert wheel.name.endswith(f"-py3-none-manylinux_2_31_{os.uname().machine}.whl")


def test_the_source_archive_builds_wheels(dist: Path) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "edge_engine/src/decode.c", "scripts/setup"}
    assert needed <= names


@pytest.mark.parametrize("on", ["host", "sim", "qemu"])
def test_it_runs_a_module(wasel: Path, module: Path, on: str) -> None:
    if on == "qemu" and shutil.which(BOARDS[0].program) is None:
        pytest.skip(f"{BOARDS[0].program} is not installed")
    folder = module.parent
    done = call(
        [str(wasel), "run", "--on", on, "--env", "WHO=wheel", str(module), "first"],
        folder,
        XDG_CACHE_HOME=str(folder / "cache"),
        XDG_STATE_HOME=str(folder / "state"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hello, wheel: this is version 1\nargument 1: first\n")
    assert not list((folder / "cache").rglob("*.c")), "it should not build anything"


def test_it_says_how_to_get_the_compiler(wasel: Path, module: Path) -> None:
    done = call([str(wasel), "compile", str(module), "-o", "native.wasm"], module.parent)
    assert done.returncode == 1
    assert "pip install 'wasel[compile]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (module.parent / "native.wasm").exists()
