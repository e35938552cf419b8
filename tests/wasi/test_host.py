# SPDX-License-Identifier: Apache-2.0
"""Whole modules through the host runner: exit codes, refusals, streams, clocks, randomness."""

from __future__ import annotations

import platform
import subprocess

import pytest

from agent.errors import UsageError
from agent.run_request import RunRequest
from edge_engine.aot.compiler import TARGETS, compile_module
from edge_engine.aot.section import NativeCode, add_section
from sel4_bridge.host_runner import run
from sel4_bridge.wasi_table import CALLS, Kind

ARENA = 1 << 20
EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
WASI_MODULE = "wasi_snapshot_preview1"


def execute(runner, module, *args, env=(), options=(), stdin=b"", timeout=60):
    command = [str(runner), "--arena", str(8 << 20), *options]
    for entry in env:
        command += ["--env", entry]
    command += [str(module), "--", "program", *args]
    return subprocess.run(command, input=stdin, capture_output=True, timeout=timeout, check=False)


def start(body, imports="", rest='(memory (export "memory") 1)'):
    return f'(module {imports} {rest} (func (export "_start") {body}))'


def test_hello(runner, tour):
    done = execute(runner, tour, "hello")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"hello\n", b"to stderr\n")


def test_arguments_and_environment(runner, tour):
    done = execute(runner, tour, "args", "two words", "", env=["A=1", "EMPTY="])
    assert done.stdout == b"program|args|two words||\nA=1\nEMPTY=\n"


def test_standard_input(runner, tour):
    assert execute(runner, tour, "cat", stdin=b"x" * 100_000).stdout == b"x" * 100_000
    assert execute(runner, tour, "cat").stdout == b""


def test_large_writes_arrive_whole(runner, tour):
    assert execute(runner, tour, "large").stdout == bytes(i % 251 for i in range(200_000))


@pytest.mark.parametrize("code", [0, 7, 255])
def test_exit_codes(runner, tour, code):
    assert execute(runner, tour, "exit", str(code)).returncode == code


def test_sleep_is_not_shorter_than_asked(runner, tour):
    done = execute(runner, tour, "sleep", "50")
    slept_ns = int(done.stdout)
    assert slept_ns >= 50_000_000


def test_clocks(runner, tour):
    done = execute(runner, tour, "clocks")
    assert done.stdout == b"realtime past 2020\nmonotonic goes on\nresolution given\n"


def test_random_differs(runner, tour):
    first, second = (execute(runner, tour, "random").stdout for _ in range(2))
    assert len(first) == len(second) == 200_000
    assert first != second
    assert first[:100_000] != first[100_000:]


@pytest.mark.parametrize("module", ["wasi_snapshot_preview1", "wasi_unstable"])
def test_every_call_links_with_its_type_and_no_other(runner, wat, module):
    calls = [call for call in CALLS if call.unstable or module == WASI_MODULE]
    imports = []
    for call in calls:
        types = " ".join("i64" if p == "I" else "i32" for p in call.signature.partition(":")[0])
        result = "(result i32)" if call.returns else ""
        imports.append(f'(import "{module}" "{call.name}" (func (param {types}) {result}))')
    assert execute(runner, wat(start("", "\n".join(imports)))).returncode == 0


@pytest.mark.parametrize("call", [call for call in CALLS if not call.unstable], ids=lambda call: call.name)
def test_what_differs_in_wasi_unstable_is_refused_by_name(runner, wat, call):
    types = " ".join("i64" if p == "I" else "i32" for p in call.signature.partition(":")[0])
    done = execute(
        runner, wat(start("", f'(import "wasi_unstable" "{call.name}" (func (param {types}) (result i32)))'))
    )
    assert done.returncode == 3
    assert f"wasi_unstable.{call.name} is not provided in wasi_unstable" in done.stderr.decode()


def test_calls_that_differ_in_wasi_unstable():
    differ = {call.name for call in CALLS if not call.unstable and not call.extension}
    assert differ == {"fd_seek", "fd_filestat_get", "path_filestat_get", "poll_oneoff", "sock_accept"}


@pytest.mark.parametrize(
    ("imports", "words"),
    [
        ('(import "env" "puts" (func (param i32)))', ["env.puts", "unknown"]),
        (f'(import "{WASI_MODULE}" "fd_frob" (func))', [f"{WASI_MODULE}.fd_frob", "not a WASI call"]),
        (
            f'(import "{WASI_MODULE}" "fd_close" (func (param i64) (result i32)))',
            [f"{WASI_MODULE}.fd_close", "(i32) -> (i32)", "(i64) -> (i32)"],
        ),
        (f'(import "{WASI_MODULE}" "proc_exit" (func (param i32) (result i32)))', ["(i32) -> ()", "(i32) -> (i32)"]),
        (f'(import "{WASI_MODULE}" "fd_close" (global i32))', [f"{WASI_MODULE}.fd_close", "is a function"]),
        ('(import "wasi_unstable" "poll_oneoff" (func (param i32 i32 i32 i32) (result i32)))', ["wasi_unstable"]),
        ('(import "env" "memory" (memory 1))', ["env.memory"]),
    ],
)
def test_other_imports_are_refused_by_name(runner, wat, imports, words):
    rest = "" if "memory 1" in imports else '(memory (export "memory") 1)'
    done = execute(runner, wat(start("", imports, rest)))
    assert done.returncode == 3
    for word in words:
        assert word in done.stderr.decode()


def test_modules_that_are_none_are_refused(runner, tmp_path):
    for name, content in {"empty": b"", "magic": b"\0abc\1\0\0\0", "cut": b"\0asm\1\0\0\0\1\x7f"}.items():
        file = tmp_path / name
        file.write_bytes(content)
        done = execute(runner, file)
        assert done.returncode == 3
        assert str(file) in done.stderr.decode()


def test_no_start_is_refused(runner, wat):
    done = execute(runner, wat("(module)"))
    assert done.returncode == 3
    assert b"_start" in done.stderr


def test_start_with_parameters_is_refused(runner, wat):
    done = execute(runner, wat('(module (func (export "_start") (param i32)))'))
    assert done.returncode == 3
    assert b"_start" in done.stderr


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("unreachable", "unreachable"),
        ("(drop (i32.div_u (i32.const 1) (i32.const 0)))", "integer divide by zero"),
        ("(drop (i32.load (i32.const 65536)))", "out of bounds memory access"),
        ("(drop (i32.load offset=0xffffffff (i32.const 0xffffffff)))", "out of bounds memory access"),
    ],
)
def test_traps_have_a_name_and_a_backtrace(runner, wat, body, name):
    done = execute(runner, wat(start(body)))
    assert done.returncode == 134
    lines = done.stderr.decode().splitlines()
    assert lines[0] == f"wasel: trap: {name}"
    assert lines[1].startswith("  #0 ")


def test_endless_recursion_is_a_trap(runner, wat):
    module = wat('(module (func $f (export "_start") (call $f) (call $f)))')
    done = execute(runner, module)
    assert done.returncode == 134
    assert b"call stack exhausted" in done.stderr


def test_fuel(runner, wat):
    module = wat(start("(loop $l (br $l))"))
    done = execute(runner, module, options=["--fuel", "100000"])
    assert (done.returncode, done.stderr) == (124, b"wasel: fuel exhausted\n")


def test_run_ends_a_module_after_its_time(wat):
    module = wat(start("(loop $l (br $l))"))
    assert run(RunRequest(module, timeout_s=0.2)) == 124


def test_run_returns_the_modules_code(tour):
    assert run(RunRequest(tour, args=("exit", "9"))) == 9


def test_run_refuses_what_it_cannot_do(tour, tmp_path):
    with pytest.raises(UsageError, match="leads out"):
        run(RunRequest(tour, dirs=((tmp_path, "../here"),)))
    with pytest.raises(UsageError, match="not a directory"):
        run(RunRequest(tour, dirs=((tmp_path / "nothing", "/"),)))
    with pytest.raises(UsageError, match="no such file"):
        run(RunRequest(tmp_path / "nothing.wasm"))


def test_a_module_too_large_for_its_arena_is_refused(runner, wat):
    done = execute(runner, wat('(module (memory 200) (func (export "_start")))'))
    assert done.returncode == 3


def test_kinds_are_all_used():
    assert {arg.kind for call in CALLS for arg in call.args} == set(Kind)


@pytest.mark.skipif(platform.machine() not in TARGETS, reason=f"no native code for {platform.machine()}")
def test_machine_code_out_of_a_file_does_not_run_here(tmp_path, wat, capfd):
    module = wat(start("(call $exit (i32.const 7))", EXIT)).read_bytes()
    code = compile_module(module, platform.machine()).code
    poisoned = NativeCode(
        code.target, code.abi, code.fuel, code.entries, b"\xcc" * len(code.code)
    )  # int3: would kill us
    file = tmp_path / "poisoned.wasm"
    file.write_bytes(add_section(module, poisoned))
    assert run(RunRequest(file)) == 7
    assert run(RunRequest(file, native=True)) == 7
    assert run(RunRequest(file, native=True, fuel=1000)) == 7
    assert "not used" not in capfd.readouterr().err


@pytest.mark.skipif(platform.machine() not in TARGETS, reason=f"no native code for {platform.machine()}")
def test_native_runs_trap_as_others(wat, capfd):
    file = wat(start("(drop (i32.load (i32.const 70000)))"))
    assert run(RunRequest(file, native=True)) == 134
    native = capfd.readouterr().err
    assert "out of bounds memory access" in native
    assert "(function 0)" in native  # offsets are the interpreter's
    file = wat(start("(loop (br 0))"))
    assert run(RunRequest(file, native=True, fuel=10_000)) == 124
