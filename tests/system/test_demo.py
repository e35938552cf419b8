# SPDX-License-Identifier: Apache-2.0
"""`python -m qemu.demo` as people run it: to its end, and interrupted; nothing may be left running."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from qemu.broker import find_mosquitto
from qemu.demo import EXPECTED
from qemu.errors import MissingToolError

pytestmark = pytest.mark.system
TIMEOUT_S = 600


@pytest.fixture(autouse=True)
def _mosquitto() -> None:
    try:
        find_mosquitto()
    except MissingToolError as missing:
        pytest.skip(str(missing))


def leftovers(temporary: Path) -> list[str]:
    """Files in this TMPDIR, and command lines of all processes that were started with it."""
    found = [str(path) for path in temporary.iterdir()]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={temporary}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it ended meanwhile, or is not ours to read
    return found


async def start_demo(kernel: str, temporary: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qemu.demo", "--kernel", kernel),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
        start_new_session=True,
    )


async def test_the_demo_shows_both_versions(kernel: str, tmp_path: Path) -> None:
    demo = await start_demo(kernel, tmp_path)
    async with asyncio.timeout(TIMEOUT_S):
        stdout, stderr = await demo.communicate()
    assert demo.returncode == 0, stderr.decode()
    shown = [line.partition("] ")[2] for line in stdout.decode().splitlines() if "[slot 0 stdout]" in line]
    assert shown == [*EXPECTED[1], *EXPECTED[2]]
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_leaves_nothing(kernel: str, tmp_path: Path, number: signal.Signals) -> None:
    demo = await start_demo(kernel, tmp_path)
    assert demo.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        while b"deploying version 1" not in await demo.stdout.readline():
            assert demo.returncode is None
        os.killpg(demo.pid, number)  # as a terminal does
        await demo.communicate()
    assert demo.returncode == 128 + number
    assert leftovers(tmp_path) == []
