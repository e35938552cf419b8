# SPDX-License-Identifier: Apache-2.0
"""Broker, agent and device together: deploy, replace, and an agent killed in the middle of a push."""

import asyncio
import hashlib
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from agent.messages import LogLine, State
from agent.native import with_native_code
from qemu.broker import Broker
from qemu.demo import padded
from qemu.launcher import Device, running_device
from qemu.programs import run_wasel, running_agent
from qemu.watch import Watch, watch_device
from tests.brokers import broker_or_skip
from tests.system import modules as m
from tests.system.conftest import Target

pytestmark = pytest.mark.system
TIMEOUT_S = 600


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    async with broker_or_skip(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def fresh(target: Target, tmp_path: Path) -> AsyncIterator[Device]:
    async with running_device("mq", kernel=target.kernel, image=target.image, root=tmp_path / "state") as device:
        yield device


def write_hello(folder: Path, version: int, size: int = 0) -> tuple[Path, bytes]:
    module = padded(m.compile_c(m.ROOT / "examples" / "hello" / "hello.c", f"-DVERSION={version}"), size)
    path = folder / f"hello-{version}.wasm"
    path.write_bytes(module)
    return path, hashlib.sha256(module).digest()


def lines(watch: Watch, slot: int = 0) -> list[str]:
    return [seen.message.data.decode() for seen in watch.logs if seen.message.slot == slot]


async def online(watch: Watch, since: int = 0) -> None:
    await watch.wait(watch.states, lambda state: state.online and state.link, TIMEOUT_S, since)


def exited(digest: bytes, slot: int = 0) -> Callable[[State], bool]:
    return lambda state: any(
        each.slot == slot and each.digest == digest and each.state == "exited" for each in state.slots
    )


async def test_deploy_a_version_and_then_the_next(broker: Broker, fresh: Device, tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with watch_device(broker, "mq") as watch, running_agent(state, broker, "mq", tmp_path / "agent.log"):
        await online(watch)
        for version in (1, 2):
            path, _ = write_hello(tmp_path, version)
            # The agent reports that the device runs native code, so it is added on the way.
            digest = hashlib.sha256(with_native_code(path.name, path.read_bytes(), "aarch64")).digest()
            arguments = ("--device", "mq", "--slot", "0", "--broker", broker.url, "--env", "WHO=test")
            finished = await run_wasel(state, "deploy", str(path), *arguments, timeout_s=TIMEOUT_S)
            assert finished.code == 0, finished.stderr.decode()
            await watch.wait(watch.states, exited(digest), TIMEOUT_S)
            await watch.wait(watch.logs, last_line_of(version), TIMEOUT_S)
        assert lines(watch) == [
            "hello, test: this is version 1",
            "there are 168 primes below 1000",
            "hello, test: this is version 2",
            "new in version 2: the square root of 2 is about 1.414214",
            "there are 303 primes below 2000",
        ]
        assert watch.bad == []
        shown = await run_wasel(state, "ps", "--device", "mq")
        assert shown.code == 0
        assert b"exited" in shown.stdout
        assert b"native" in shown.stdout
        assert watch.states[-1].message.slots[0].tier == "native"
        assert fresh.record.kernel_title.encode() in shown.stdout


def last_line_of(version: int) -> Callable[[LogLine], bool]:
    return lambda line: line.data.endswith(f"below {version}000".encode())


@pytest.mark.usefixtures("fresh")
async def test_an_agent_killed_in_the_middle_of_a_push_ends_with_the_module_running_once(
    broker: Broker, tmp_path: Path
) -> None:
    state, log = tmp_path / "state", tmp_path / "agent.log"
    path, digest = write_hello(tmp_path, 1, size=384 << 10)

    def half_pushed(report: State) -> bool:
        way = report.progress.get(0)
        return way is not None and way.phase == "push" and 0 < way.offset < way.size

    async with watch_device(broker, "mq") as watch:
        async with running_agent(state, broker, "mq", log) as first:
            await online(watch)
            deploy = asyncio.create_task(
                run_wasel(
                    state,
                    *("deploy", str(path), "--device", "mq", "--slot", "0", "--broker", broker.url, "--no-native"),
                    timeout_s=TIMEOUT_S,
                )
            )
            await watch.wait(watch.states, half_pushed, TIMEOUT_S)
            first.send_signal(signal.SIGKILL)
            await first.wait()
        assert lines(watch) == []
        async with running_agent(state, broker, "mq", log):
            await watch.wait(watch.states, exited(digest), TIMEOUT_S)
            await watch.wait(watch.logs, last_line_of(1), TIMEOUT_S)
            finished = await deploy
            assert finished.code == 0, finished.stderr.decode()
            (slot,) = [each for each in watch.states[-1].message.slots if each.slot == 0]
            assert slot.starts == 1
        assert lines(watch) == ["hello, world: this is version 1", "there are 168 primes below 1000"]


async def test_a_module_that_the_device_refuses_fails_the_deploy(broker: Broker, fresh: Device, tmp_path: Path) -> None:
    path = tmp_path / "bad.wasm"
    path.write_bytes(m.module(m.NOP, imports=(("env", "launch_missiles"),)))
    state = tmp_path / "state"
    async with watch_device(broker, "mq") as watch, running_agent(state, broker, "mq", tmp_path / "agent.log"):
        await online(watch)
        finished = await run_wasel(state, "deploy", str(path), "--device", "mq", "--broker", broker.url, "--no-native")
    assert finished.code == 3
    assert b"launch_missiles" in finished.stderr
    assert fresh.record.alive
