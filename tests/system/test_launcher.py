# SPDX-License-Identifier: Apache-2.0
"""qemu/launcher.py with the smallest image that QEMU boots (talker.S) in a device's place."""

import asyncio
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent.errors import UsageError
from qemu import commands
from qemu.boards import BOARDS
from qemu.errors import BootError, DeviceStateError, MissingToolError
from qemu.launcher import attach, running_device, start_device
from qemu.records import all_records, process_start, read_record, write_record

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(shutil.which(BOARDS[0].program) is None, reason=f"{BOARDS[0].program} is not installed"),
]
READY = r"wasel 0.1.0 on stand-in kernel (a simulator, not seL4)\r\nwasel: ready\r\n"
TALKER = Path(__file__).with_name("talker.S")


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    folder = tmp_path_factory.mktemp("talker")

    def build(text: str, *flags: str) -> Path:
        output = folder / f"{abs(hash((text, flags)))}.elf"
        command = [sys.executable, "-m", "ziglang", "cc", "--target=aarch64-freestanding-none", "-nostdlib", "-static"]
        command += ["-Wl,--image-base=0x40200000", f'-DTEXT="{text}"', *flags, str(TALKER), "-o", str(output)]
        subprocess.run(command, check=True, timeout=600)
        return output

    return build


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 20)  # beyond the 108 bytes of a Unix socket's path
    monkeypatch.setenv("WASEL_STATE", str(deep))
    return deep


async def test_a_device_comes_up_resets_and_leaves_nothing(root: Path, talker: Callable[..., Path]) -> None:
    async with running_device("one", image=talker(READY), root=root) as device:
        record = device.record
        assert record.alive
        assert record.ready_ms is not None
        assert read_record(device.folder) == record
        assert await device.reset() > 0
        with pytest.raises(DeviceStateError, match="up already"):
            await start_device("one", image=talker(READY), root=root)
    assert process_start(record.pid) is None
    assert read_record(device.folder) is None


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux's setpriv is not installed")
async def test_a_killed_owner_takes_its_device_along(root: Path, talker: Callable[..., Path]) -> None:
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom qemu.launcher import running_device\n"
        "async def main():\n"
        "    async with running_device('owned', image=Path(sys.argv[1]), root=Path(sys.argv[2])) as device:\n"
        "        print(device.record.pid, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(talker(READY)), str(root)), stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    async with asyncio.timeout(600):
        number = int(await owner.stdout.readline())
        assert process_start(number) is not None
        owner.kill()
        await owner.wait()
        while process_start(number) is not None:  # noqa: ASYNC110 - it is nobody's child by now
            await asyncio.sleep(0.01)
    assert [record.alive for record in all_records()] == [False]


async def test_an_orderly_quit_and_a_power_cut_end_it(root: Path, talker: Callable[..., Path]) -> None:
    first = await start_device("a", image=talker(READY), root=root)
    second = await start_device("b", image=talker(READY), root=root)
    try:
        other = attach("a")  # as another process would
        assert other.record == first.record
        await other.quit()
        assert not first.record.alive
        await second.power_cut()
        assert not second.record.alive
        assert all_records() == []
    finally:
        await first.power_cut()
        await second.power_cut()


@pytest.mark.parametrize(
    ("text", "flags", "timeout_s", "complaint"),
    [
        (r"wasel 0.1.0 on seL4\nwasel: ready\n", (), 30, "should run stand-in kernel"),
        (r"hello\n", (), 1, "not ready after 1 s: .*hello"),
        (r"bye\n", ("-DOFF",), 30, "QEMU ended during boot: bye"),
    ],
    ids=["another kernel", "silent", "ends"],
)
async def test_a_failed_boot_says_why_and_leaves_no_process(
    root: Path, talker: Callable[..., Path], text: str, flags: tuple[str, ...], timeout_s: float, complaint: str
) -> None:
    with pytest.raises(BootError, match=complaint):
        await start_device("bad", image=talker(text, *flags), root=root, timeout_s=timeout_s)
    assert all_records() == []


async def test_a_process_number_used_again_is_not_the_device(root: Path, talker: Callable[..., Path]) -> None:
    async with running_device("old", image=talker(READY), root=root) as device:
        own = process_start(os.getpid())
        assert own is not None
        stale = dataclasses.replace(device.record, pid=os.getpid(), process_start=own + 1)
        write_record(device.folder, stale)
        assert not stale.alive
        with pytest.raises(DeviceStateError, match="ended by itself"):
            attach("old")


def test_the_commands(root: Path, talker: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    device = asyncio.run(start_device("cli", image=talker(READY), root=root))
    try:
        shown = runner.invoke(commands.device, ["list"]).output
        assert "cli: up, stand-in kernel (a simulator, not seL4)" in shown
        (entry,) = json.loads(runner.invoke(commands.device, ["list", "--json"]).output)
        assert (entry["name"], entry["state"], entry["port"]) == ("cli", "up", device.record.port)
        assert runner.invoke(commands.device, ["down", "--all"]).output == "cli: down\n"
        assert not device.record.alive
    finally:
        asyncio.run(device.power_cut())
    assert isinstance(runner.invoke(commands.device, ["down", "cli"]).exception, DeviceStateError)
    assert isinstance(runner.invoke(commands.device, ["down"]).exception, UsageError)
    assert isinstance(runner.invoke(commands.device, ["up", "x", "--kernel", "linux"]).exception, UsageError)
    assert isinstance(runner.invoke(commands.device, ["up", "../x"]).exception, UsageError)
    monkeypatch.setenv("PATH", "")
    missing = runner.invoke(commands.device, ["up", "x"]).exception
    assert isinstance(missing, MissingToolError)
    assert "apt-get install qemu-system-arm" in str(missing)
