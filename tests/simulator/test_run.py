# SPDX-License-Identifier: Apache-2.0
"""The whole device in the simulator: starts, stops, traps, limits, resets, other tools, many at once."""

import asyncio
import random
from pathlib import Path

import pytest
from smpclient import SMPClient
from smpclient.generics import success
from smpclient.requests.os_management import EchoWrite

from agent.errors import UsageError
from agent.link.device import Device as Link
from agent.link.transport import FramedTransport
from agent.run_request import RunRequest
from qemu import sim
from qemu.errors import BootError
from qemu.faulty_line import Faults
from qemu.sim import SimOptions, running_simulator
from qemu.subject import Subject
from tests.system.conftest import install, run_module, wait_for_output

MEMORY_MAX_KIB = 64 * 1024


def test_somebody_elses_client_gets_its_echo(wasel_sim: Subject) -> None:
    async def echo(port: str) -> str:
        client = SMPClient(FramedTransport(), port)
        await client.connect()
        answer = await client.request(EchoWrite(d="hello"))
        await client.disconnect()
        assert success(answer)
        return str(answer.r)

    with wasel_sim.released() as port:
        assert asyncio.run(echo(port)) == "hello"


def test_it_says_what_it_is(wasel_sim: Subject) -> None:
    async def kernel(port: str) -> str:
        async with Link(port) as link:
            return (await link.status()).kernel

    with wasel_sim.released() as port:
        assert asyncio.run(kernel(port)) == "simulator"


@pytest.mark.parametrize(("steps", "trap"), [("u", "unreachable"), ("o", "out of bounds memory access")])
def test_traps_have_names_and_the_slot_goes_on(wasel_sim: Subject, program: Path, steps: str, trap: str) -> None:
    for _ in range(3):
        result = wasel_sim.run(program, steps)
        assert (result.state, result.trap) == ("trapped", trap)
        assert "_start (function" in result.backtrace
    assert wasel_sim.run(program, "c").exit_code == 0


def test_an_endless_loop_keeps_nobody_out(wasel_sim: Subject, program: Path) -> None:
    wasel_sim.flash(program, slot=0)
    wasel_sim.start(0, ("loop", "l"))
    assert wasel_sim.run(program, "c", slot=1).exit_code == 0
    assert wasel_sim.status(0).state == "running"
    wasel_sim.stop(0)
    assert wasel_sim.status(0).state == "stopped"


@pytest.mark.wasel(time="virtual")
def test_an_endless_loop_keeps_nobody_out_in_virtual_time(wasel_sim: Subject, program: Path) -> None:
    wasel_sim.flash(program, slot=0)
    wasel_sim.start(0, ("loop", "l"))
    assert wasel_sim.run(program, "cs", slot=1).exit_code == 0
    wasel_sim.stop(0)
    assert wasel_sim.status(0).state == "stopped"


def test_fuel_ends_an_endless_loop(wasel_sim: Subject, program: Path) -> None:
    assert wasel_sim.run(program, "l", fuel=1_000_000).trap == "fuel exhausted"


def test_what_is_no_module_is_refused(wasel_sim: Subject) -> None:
    result = wasel_sim.run(b"\0asm\1\0\0\0\x7f")
    assert result.state == "refused"
    assert result.error


def test_reset_and_power_cut_keep_flash_alone(wasel_sim: Subject, program: Path) -> None:
    for _ in range(2):
        wasel_sim.run(program)
    before = wasel_sim.status()
    assert before.starts == 2
    wasel_sim.reset()
    assert wasel_sim.status().starts <= 1  # a module in flash starts by itself
    wasel_sim.power_cut()
    wasel_sim.power_on()
    assert wasel_sim.status().starts <= 1
    assert wasel_sim.run(program, "c").exit_code == 0


def test_faults_are_what_they_are_called() -> None:
    data = bytes(range(256)) * 40
    assert Faults().apply(data, random.Random(1)) == data
    assert Faults(cut=True).apply(data, random.Random(1)) == b""
    dropped = Faults(drop=0.1).apply(data, random.Random(1))
    assert 0.8 < len(dropped) / len(data) < 0.95
    doubled = Faults(duplicate=0.1).apply(data, random.Random(1))
    assert 1.05 < len(doubled) / len(data) < 1.2
    flipped = Faults(corrupt=0.1).apply(data, random.Random(1))
    assert flipped != data
    assert {(a ^ b).bit_count() for a, b in zip(data, flipped, strict=True)} == {0, 1}
    swapped = Faults(swap=0.1).apply(data, random.Random(1))
    assert swapped != data
    assert sorted(swapped) == sorted(data)
    for faults in (Faults(drop=0.1, run=50), Faults(corrupt=0.1, run=50), Faults(duplicate=0.1, run=50)):
        changed = faults.apply(data, random.Random(1))
        assert changed != data
        assert 0.7 < len(changed) / len(data) < 1.3


async def test_many_at_once_in_little_memory(program: Path) -> None:
    async def one(number: int) -> int:
        async with running_simulator() as simulator, Link(simulator.port) as link:
            module = await asyncio.to_thread(program.read_bytes)
            if number % 10 == 0:
                ended = await run_module(link, 0, module, ("program", "c"))
                assert ended.status.exit == 0
                await run_module(link, 1, module, ("program", "c"))
            started.append(number)
            while len(started) < count:  # noqa: ASYNC110 - all of them are up at the same time
                await asyncio.sleep(0.01)
            status = await asyncio.to_thread(Path(f"/proc/{simulator.process.pid}/status").read_text)
            fields = dict(line.split(":", 1) for line in status.splitlines())
            return int(fields["VmHWM"].split()[0])

    count = 100
    started: list[int] = []
    most = await asyncio.gather(*(one(number) for number in range(count)))
    assert max(most) < MEMORY_MAX_KIB


async def test_one_that_ends_during_boot_is_named(tmp_path: Path) -> None:
    with pytest.raises(BootError, match="the simulator ended during boot with 70"):
        async with running_simulator(SimOptions(flash=tmp_path)):  # a folder is no flash
            pass


@pytest.mark.system  # the first time it builds everything again
async def test_the_sanitizer_build_runs_modules(program: Path) -> None:
    module = await asyncio.to_thread(program.read_bytes)
    async with running_simulator(SimOptions(sanitize=True)) as simulator, Link(simulator.port) as link:
        for steps, state in (("c", "exited"), ("u", "trapped"), ("o", "trapped"), ("c", "exited")):
            assert (await run_module(link, 0, module, ("program", steps))).status.state == state
        await install(link, 1, module)
        await link.start(1, ("program", "l"))
        await wait_for_output(link, 1, 0)
        await link.stop(1)
        assert (await link.slot(1)).state == "stopped"
    assert simulator.process.returncode == 0


@pytest.mark.parametrize("field", ["time", "seed", "record", "replay"])
def test_other_runners_refuse_the_simulators_options(program: Path, field: str) -> None:
    from qemu import runner  # noqa: PLC0415
    from sel4_bridge import host_runner  # noqa: PLC0415

    value = {"time": "virtual", "seed": 1}.get(field, program)
    request = RunRequest(program, **{field: value})  # type: ignore[arg-type]
    for run in (host_runner.run, runner.run):
        with pytest.raises(UsageError, match=f"--{field}"):
            run(request)


def test_a_time_that_is_none_is_refused(program: Path) -> None:
    with pytest.raises(UsageError, match="--time"):
        sim.run(RunRequest(program, time="slow"))
