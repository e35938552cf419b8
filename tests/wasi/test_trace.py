# SPDX-License-Identifier: Apache-2.0
"""Trace records: what a real module's calls look like, and that no bytes make the decoder fail otherwise than named."""

from __future__ import annotations

import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sel4_bridge.trace import TracedCall, TraceError, parse, split_file
from sel4_bridge.wasi_table import label

MODULE = """(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 16) "hello\\n")
  (func (export "_start")
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $close (i32.const 9)))))
"""


@pytest.fixture
def calls(runner, wat, tmp_path):
    file = tmp_path / "trace"
    command = [str(runner), "--arena", str(1 << 20), "--trace", str(file), str(wat(MODULE)), "--", "name"]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    assert done.stdout == b"hello\n"
    return [parse(record) for record in split_file(file.read_bytes())]


def test_calls_of_a_module(calls):
    write, close = calls
    assert (write.label, write.name, write.sent, write.received) == (label("fd_write"), "fd_write", (1, 6), (0, 6))
    assert write.arguments() == {"fd": 1, "iovs": b"hello\n", "iovs.size": 6}
    assert (write.result, write.results()) == ("success", {"nwritten": 6})
    assert (close.name, close.result, close.results()) == ("fd_close", "badf", {})
    assert close.number == write.number + 1
    assert close.start_ns >= write.start_ns + write.duration_ns


def test_text(calls):
    line = calls[0].text(0)
    assert "slot 0 #1 fd_write(fd=1, iovs='hello\\n', iovs.size=6) = success nwritten=6  [0x11a: 1 6 -> 0 6]" in line


def test_json(calls):
    found = calls[1].as_json(1)
    assert (found["slot"], found["call"], found["result"], found["arguments"]) == (1, "fd_close", "badf", {"fd": 9})


def test_pending_and_unknown():
    assert TracedCall(1, 0, 0, label("poll_oneoff"), (48, 32), (0xFFFF,), b"").result == "pending"
    strange = TracedCall(1, 0, 0, 0xFFFF, (1,), (28,), b"")
    assert (strange.name, strange.result, strange.arguments()) == ("?", "inval", {})


@given(st.binary(max_size=400))
def test_any_bytes(record):
    try:
        call = parse(record)
    except TraceError:
        return
    assert call.text(0)
    assert call.as_json(0)


@given(st.integers(0, 0xFFFF), st.lists(st.integers(0, 2**64 - 1), max_size=16), st.binary(max_size=64))
def test_every_label_and_word(number, words, data):
    head = struct.pack("<HBBIQII", number, len(words), len(words), len(data), 1, 2, 3)
    packed = struct.pack(f"<{len(words)}Q", *words)
    call = parse(head + packed + packed + data)
    assert call.sent == call.received == tuple(words)
    assert call.text(1)


def test_a_file_that_is_cut_off():
    with pytest.raises(TraceError, match="within"):
        split_file(b"\x30\x00abc")
