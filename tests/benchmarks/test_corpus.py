# SPDX-License-Identifier: Apache-2.0
"""The corpus manifest is complete and holds no bench kernel. Nothing here fetches anything."""

from __future__ import annotations

import hashlib
import json
import tarfile

import pytest

from bench import BenchError
from bench.corpus import CorpusError
from bench.corpus.__main__ import DRIVER_SOURCES, MANIFEST, differences
from bench.corpus.origins import DRIVERS, PACKAGES, SDISTS
from bench.corpus.wasm import code_size
from bench.fetch import unpack
from bench.kernels import KERNELS, build

EMPTY = b"\0asm\x01\0\0\0"


def _manifest():
    return json.loads(MANIFEST.read_text())["modules"]


def test_thirty_modules_or_more_in_four_languages():
    modules = _manifest()
    assert len(modules) >= 30
    assert {"C", "C++", "Rust", "Zig"} <= {module["language"] for module in modules}
    assert len({module["sha256"] for module in modules}) == len(modules)


def test_every_origin_is_in_the_manifest():
    expected = sum(len(package.paths) for package in PACKAGES) + len(SDISTS)
    expected += sum(len(driver.levels) for driver in DRIVERS)
    assert len(_manifest()) == expected


def test_no_kernel_is_in_the_corpus():
    known = {module["sha256"] for module in _manifest()}
    for built in build(KERNELS):
        assert hashlib.sha256(built.wasm.read_bytes()).hexdigest() not in known
    assert not {f"{kernel.name}.c" for kernel in KERNELS} & {path.name for path in DRIVER_SOURCES.iterdir()}


def test_a_missing_module_is_named():
    names = [module["file"] for module in _manifest()]
    assert differences([]) == [f"{name}: missing" for name in sorted(names)]


def test_an_archive_that_is_not_the_pinned_one_is_not_unpacked(tmp_path):
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(MANIFEST, "inside")
    with pytest.raises(BenchError, match=r"a\.tar\.gz"):
        unpack(archive, "0" * 64)
    assert not (tmp_path / "inside").exists()
    unpack(archive, hashlib.sha256(archive.read_bytes()).hexdigest())
    assert (tmp_path / "inside").exists()


def test_code_size():
    assert code_size(EMPTY) == 0
    assert code_size(EMPTY + b"\x0a\x81\x00\x00" + b"\x00\x02\x01x") == 1


@pytest.mark.parametrize("data", [b"", b"\x7fELF1234", EMPTY + b"\x0a", EMPTY + b"\x0a\x05ab", EMPTY + b"\x0a\x80"])
def test_what_is_not_a_module_is_refused(data):
    with pytest.raises(CorpusError):
        code_size(data)
