# SPDX-License-Identifier: Apache-2.0
"""Directories of a run: what travels with the module, and what it then sees."""

from __future__ import annotations

import os
import subprocess

import pytest

from agent.run_request import RunRequest
from edge_engine.zig import ROOT, WASI, compile_objects, link
from sel4_bridge.files import FilesError, grants, read_module, with_files

OUT = ROOT / "build" / "tests" / "wasi"


@pytest.fixture(scope="session")
def tree():
    """A C program that lists, reads and changes a directory."""
    objects = compile_objects([ROOT / "tests" / "wasi" / "tree.c"], OUT / "tree", WASI, ("-Oz", "-Wall", "-Werror"))
    return link(objects, OUT / "tree.wasm", WASI, ("-Wl,--strip-all", "-Wl,-z,stack-size=65536"))


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "sub" / "text").write_text("content\n")
    (root / "large").write_bytes(bytes(range(256)) * 1000)
    (root / "link").symlink_to("sub/text")
    return root


def execute(runner, module, tmp_path, *args, options=(), directories=()):
    file = tmp_path / "packed.wasm"
    file.write_bytes(with_files(module.read_bytes(), list(directories)))
    command = [str(runner), "--arena", str(8 << 20), *options, str(file), "--", "tree", *args]
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


def test_contents_arrive(runner, tree, folder, tmp_path):
    done = execute(runner, tree, tmp_path, "/root", options=["--grant", "dir=/root"], directories=[folder])
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr
    assert sorted(lines) == [
        "/root/large 256000 file",
        "/root/link 8 link",
        "/root/sub directory",
        "/root/sub/empty directory",
        "/root/sub/text 8 file",
        "changed and read back",
    ]
    assert not (folder / "new").exists()  # it is a copy


def test_two_directories_keep_apart(runner, tree, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "only").write_text("x")
    options = ["--grant", "dir=/a", "--grant", "dir=/b"]
    done = execute(runner, tree, tmp_path, "/b", options=options, directories=[folder, other])
    assert done.stdout.decode().splitlines() == ["/b/only 1 file", "changed and read back"]


def test_without_a_grant_there_is_no_directory(runner, tree, tmp_path):
    done = execute(runner, tree, tmp_path, "/")
    assert done.returncode == 1
    assert b"opendir" in done.stderr


def test_files_without_their_grant_refuse_the_module(runner, tree, folder, tmp_path):
    done = execute(runner, tree, tmp_path, "/root", directories=[folder])
    assert done.returncode == 3
    assert b"cannot be made" in done.stderr


def test_files_beyond_the_limit_refuse_the_module(runner, tree, folder, tmp_path):
    options = ["--grant", "bytes=65536", "--grant", "dir=/root"]
    done = execute(runner, tree, tmp_path, "/root", options=options, directories=[folder])
    assert done.returncode == 3
    assert b"large cannot be made: errno 51" in done.stderr


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_section_that_is_cut_off_is_refused(runner, tree, folder, tmp_path, cut):
    whole = with_files(tree.read_bytes(), [])
    packed = with_files(tree.read_bytes(), [folder])
    body = packed[len(tree.read_bytes()) :]
    start = len(whole) - len(tree.read_bytes())  # header and name of an empty section
    entries = body[start + 2 : start + 2 + cut]  # the length takes two bytes more than that of an empty one
    name = b"\x0bwasel.files"
    section = name + entries
    file = tmp_path / "cut.wasm"
    file.write_bytes(tree.read_bytes() + b"\0" + bytes([len(section)]) + section)
    command = [str(runner), "--arena", str(8 << 20), "--grant", "dir=/root", str(file), "--", "tree", "/root"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode in {0, 3}
    if done.returncode == 3:
        assert b"wasel.files" in done.stderr or b"cannot be made" in done.stderr


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FilesError, match="neither"):
        with_files(b"\0asm\1\0\0\0", [tmp_path])


def test_requests(tree, folder):
    request = RunRequest(tree, dirs=((folder, "/x"),))
    assert grants(request) == ("dir=/x",)
    assert read_module(request, "").startswith(tree.read_bytes())
    assert read_module(RunRequest(tree), "") == tree.read_bytes()
