# SPDX-License-Identifier: Apache-2.0
"""What wasel is made of: the lock covers what is asked for, the bill names all of it, an image is the same twice."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agent.keys import create_key_files
from edge_engine.zig import ROOT
from sel4_bridge.littlefs import LITTLEFS
from sel4_bridge.sbom import LOCK, SOURCES, bill, locked_packages

if TYPE_CHECKING:
    from pathlib import Path

LOCK_TEXT = LOCK.read_text(encoding="utf-8")
PROJECT_TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def asked_for() -> list[Requirement]:
    project = tomllib.loads(PROJECT_TEXT)["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for name in extras if name != "bench" for text in extras[name])]
    return [one for text in texts if (one := Requirement(text)).name != project["name"]]


def test_the_lock_covers_what_is_asked_for() -> None:
    """When this fails: scripts/lock."""
    locked = {package.name: package.version for package in locked_packages(LOCK_TEXT)}
    for requirement in asked_for():
        version = locked.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: run scripts/lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{requirement}: run scripts/lock"


def test_every_locked_package_has_hashes_and_setup_checks_them() -> None:
    pinned = re.findall(r"^([a-z0-9][^= \[]*)", LOCK_TEXT, re.MULTILINE)
    assert sorted(pinned) == [package.name for package in locked_packages(LOCK_TEXT)]
    assert "--require-hashes -r requirements.lock" in (ROOT / "scripts" / "setup").read_text(encoding="utf-8")
    assert "://" not in LOCK_TEXT  # wherever packages come from, it is not written here


def test_the_bill_names_everything_and_is_the_same_twice() -> None:
    document = bill(LOCK_TEXT, PROJECT_TEXT)
    assert document == bill(LOCK_TEXT, PROJECT_TEXT)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", document["serialNumber"])
    refs = [component["bom-ref"] for component in document["components"]]
    assert len(set(refs)) == len(refs)
    assert document["dependencies"][0]["dependsOn"] == sorted(refs)
    names = {component["name"]: component for component in document["components"]}
    assert set(names) == {
        *(f"sources of {sdist.project}" for sdist, _ in SOURCES),
        *(package.name for package in locked_packages(LOCK_TEXT)),
    }
    for sdist, _ in SOURCES:
        assert names[f"sources of {sdist.project}"]["hashes"][0]["content"] == sdist.sha256
    for package in locked_packages(LOCK_TEXT):
        component = names[package.name]
        assert component["purl"] == f"pkg:pypi/{package.name}@{package.version}"
        contents = [each["hashes"][0]["content"] for each in component["externalReferences"]]
        assert contents == list(package.hashes)


def test_a_package_without_a_hash_is_an_error() -> None:
    with pytest.raises(ValueError, match="cffi"):
        locked_packages("cffi==1.0.0\nrich==2.0 \\\n    --hash=sha256:" + "0" * 64 + "\n")


def copy_sources(folder: Path) -> None:
    """All that a build reads but the compiler, littlefs' sources among it."""
    for name in ("agent", "edge_engine", "fleet", "qemu", "sel4_bridge"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(LITTLEFS.fetch(), folder / "build" / LITTLEFS.project / LITTLEFS.version)


@pytest.mark.system  # builds everything twice
def test_two_builds_of_the_image_are_byte_equal(tmp_path: Path) -> None:
    digests = set()
    create_key_files(tmp_path / "development")
    for name in ("one", "a folder with a longer name/inside"):
        folder = tmp_path / name
        copy_sources(folder)
        (folder / "build" / "keys").mkdir()
        for key in ("development", "development.pub"):  # an image has its anchors inside
            shutil.copy(tmp_path / key, folder / "build" / "keys" / key)
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        command = [sys.executable, "-P", "-m", "sel4_bridge.build", "--kernel", "standin"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=1500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        image = folder / "build" / "device" / "standin" / "image.bin"
        digests.add(hashlib.sha256(image.read_bytes()).hexdigest())
    assert len(digests) == 1
