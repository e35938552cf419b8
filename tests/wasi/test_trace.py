# SPDX-License-Identifier: Apache-2.0
"""Trace records: what a real module's calls look like, and that no bytes make the decoder fail otherwise than named."""

from __future__ import annotations

import json
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sel4_bridge.trace import TracedCall, TraceError, parse, split_file
from sel4_bridge.wasi_table import CALLS, Kind, label
from tests.wasi.test_pointers import LENGTH, Case, good_values, module_text

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


FIRST_SCALAR = 1000
EXIT_TEXT = """(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func (export "_start") (call $exit (i32.const 0))))
"""


def expected(call):  # noqa: C901 - a case a kind
    """Wasm arguments of a call with every scalar different, then what the decoder must say of it, from the table."""
    values = iter(good_values(call))
    params, said, results = [], {}, set()
    for place, arg in enumerate(call.args):
        own = [next(values) for _ in arg.kind.params]
        match arg.kind:
            case Kind.U32 | Kind.U64:
                own = [FIRST_SCALAR + place] if call.returns else [0]
                said[arg.name] = own[0]
            case Kind.FD:
                own = [FIRST_SCALAR + place] if place else own
                said[arg.name] = own[0]
            case Kind.PATH | Kind.GATHER:
                said |= {arg.name: bytes(LENGTH), f"{arg.name}.size": LENGTH}
            case Kind.IN_ARRAY:
                said[f"{arg.name}.size"] = arg.size
            case Kind.OUT_ARRAY:
                said[f"{arg.name}.room"] = arg.size
                results.add(f"{arg.name}.size")
            case Kind.SCATTER | Kind.BUFFER | Kind.FILL:
                said[f"{arg.name}.room"] = LENGTH
                results.add(f"{arg.name}.size")
            case Kind.ADDRESS:
                said[arg.name] = "::"
            case Kind.STRINGS:
                results |= {f"{arg.name}.count", f"{arg.name}.size"}
            case Kind.OUT_U32 | Kind.OUT_U64 | Kind.OUT_ADDRESS:
                results.add(arg.name)
        params += own
    return tuple(params), said, results


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_every_row_decodes(call, runner, wat, tmp_path):
    """What the generated stub sends is what the decoder reads, argument for argument."""
    params, said, results = expected(call)
    text = module_text(call, [Case(params, None)]) if call.returns else EXIT_TEXT
    file = tmp_path / "trace"
    command = [str(runner), "--arena", str(1 << 20), "--env", "K=1", "--trace", str(file), str(wat(text)), "--", "name"]
    subprocess.run(command, capture_output=True, timeout=60, check=True)
    records = [parse(record) for record in split_file(file.read_bytes())]
    traced = next(record for record in records if record.name == call.name)
    assert traced.label == label(call.name)
    assert traced.arguments() == said
    assert set(traced.results()) == (results if traced.result == "success" else set())
    found = json.loads(json.dumps(traced.as_json(0)))
    assert (found["call"], found["result"]) == (call.name, traced.result)
    assert found["arguments"] == {name: v.hex() if isinstance(v, bytes) else v for name, v in said.items()}
    line = traced.text(0)
    assert f"{call.name}(" in line
    assert f" = {traced.result}" in line
    assert all(f"{name}=" in line for name in said)


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
