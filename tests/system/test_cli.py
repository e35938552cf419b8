# SPDX-License-Identifier: Apache-2.0
"""The commands as people type them: up, flash, start, logs, ps, stop, down; each a program of its own."""

import asyncio
import json
from pathlib import Path

import pytest

from qemu.programs import Finished, run_wasel
from tests.system import modules as m

pytestmark = pytest.mark.system
TIMEOUT_S = 600
TITLES = {"standin": "stand-in kernel (a simulator, not seL4)", "sel4": "seL4"}


async def test_a_day_with_a_device(kernel: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    module = tmp_path / "hello.wasm"
    module.write_bytes(m.compile_c(m.ROOT / "examples" / "hello" / "hello.c", "-DVERSION=1"))
    endless = tmp_path / "endless.wasm"
    endless.write_bytes(m.module(m.LOOP_FOR_EVER))

    async def wasel(*arguments: str, code: int = 0) -> Finished:
        finished = await run_wasel(state, *arguments, timeout_s=TIMEOUT_S)
        assert finished.code == code, (arguments, finished)
        return finished

    try:
        up = await wasel("device", "up", "bench", "--kernel", kernel)
        assert f"bench: up on {TITLES[kernel]}, ready after ".encode() in up.stdout
        assert b"up already" in (await wasel("device", "up", "bench", "--kernel", kernel, code=4)).stderr

        await wasel("flash", str(module), "--device", "bench", "--start", "--arg", "x", "--env", "WHO=cli")
        logs = await wasel("logs", "--device", "bench")
        assert logs.stdout == b"hello, cli: this is version 1\nargument 1: x\nthere are 168 primes below 1000\n"

        await wasel("flash", str(endless), "--slot", "1")  # the only device there is
        await wasel("start", "--device", "bench", "--slot", "1")
        shown = json.loads((await wasel("ps", "--device", "bench", "--json")).stdout)
        assert [slot["state"] for slot in shown["slots"]] == ["exited", "running"]
        assert TITLES[kernel].encode() in (await wasel("ps", "--device", "bench")).stdout
        await wasel("stop", "--device", "bench", "--slot", "1")
        shown = json.loads((await wasel("ps", "--device", "bench", "--json")).stdout)
        assert [slot["state"] for slot in shown["slots"]] == ["exited", "stopped"]

        (listed,) = json.loads((await wasel("device", "list", "--json")).stdout)
        assert (listed["name"], listed["state"], listed["kernel_title"]) == ("bench", "up", TITLES[kernel])
    finally:
        down = await run_wasel(state, "device", "down", "--all")
    assert down.stdout == b"bench: down\n"
    assert b"no devices" in (await wasel("device", "list")).stdout
    assert (await wasel("ps", "--device", "bench", code=4)).stderr.count(b"\n") == 1


def test_two_devices_at_once(kernel: str, tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def both() -> list[Finished]:
        ups = [run_wasel(state, "device", "up", name, "--kernel", kernel) for name in ("a", "b")]
        started = list(await asyncio.gather(*ups))
        return [*started, await run_wasel(state, "device", "down", "--all")]

    first, second, down = asyncio.run(both())
    assert (first.code, second.code, down.code) == (0, 0, 0), (first, second, down)
    assert sorted(down.stdout.splitlines()) == [b"a: down", b"b: down"]
