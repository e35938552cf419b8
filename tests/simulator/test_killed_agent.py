# SPDX-License-Identifier: Apache-2.0
"""The agent dies by SIGKILL at every request and at every step on disk of a deployment; the next agent completes it.

The device is the simulator: the C of the supervisor, the store and the engine. Whenever the agent died: the device runs
the old module or the new one, whole; after the next agent it runs the new one, which was started once and sent once.
"""

import asyncio
import contextlib
import hashlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.link.device import Device as Link
from agent.link.modules import SlotStatus
from agent.messages import Desired, DesiredSlot, Get, State, slice_module
from agent.module_file import append_section
from agent.mqtt import Broker
from agent.session import Session
from agent.topics import Topics
from qemu.sim import running_simulator
from tests.brokers import broker_or_skip
from tests.simulator.mortal_agent import NEVER, MortalAgent
from tests.simulator.toll import Toll, toll_on
from tests.system.modules import compile_c

NAME = "mortal"
WAIT_S = 120
PADDING = 10_000  # bytes that compress to nothing less: several chunks
KINDS = ("limits", "status", "clock", "images", "upload", "pending", "start", "mail")
STEPS = ("open .lock", "remove .sock", "open .new", "rename .new", "open .part", "rename .part", "fsync", "remove")
AFTER = 3  # requests after the new module's start at which the agent dies, too
PROGRAM = r"""
#include <unistd.h>
int main(void)
{
    static const char text[] = "version 0000 runs\n";
    write(1, text, sizeof text - 1);
    for (;;) usleep(50000);
}
"""


class World:
    """Broker, device and line; each deployment is a version of its own, in slot 0."""

    def __init__(self, folder: Path, broker: str, toll: Toll) -> None:
        self._folder = folder
        self._url = broker
        self.toll = toll
        self.version = 0
        self._program = compile_c(PROGRAM)
        self._modules: dict[bytes, bytes] = {}
        self._state: State | None = None
        self._news = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self._topics = Topics(NAME)
        self._broker = Broker(broker, on_message=self._message)
        self._cursor = 0
        self._starts = 0
        self._now = self._before = b""
        self._sent = self._needed = 0

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with self._broker:
            self._broker.subscribe(self._topics.state, qos=1)
            self._broker.subscribe(self._topics.get)
            yield

    def _message(self, topic: str, body: bytes) -> None:
        if topic == self._topics.state:
            self._state = State.parse(body)
            self._news.set()
            return
        get = Get.parse(body)
        for chunk in slice_module(self._modules[get.digest], get.digest, get):
            task = asyncio.create_task(self._broker.publish(self._topics.chunk, chunk.encode()))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    def agent(self, die_at: tuple[str, int] = NEVER) -> MortalAgent:
        session = Session(NAME, port=self.toll.port, state=self._folder / "state", broker=self._url)
        return MortalAgent(session, self._folder / "agent.log", die_at)

    async def publish(self) -> None:
        """Ask for the next version."""
        self.version += 1
        module = self._program.replace(b"version 0000", b"version %04d" % self.version)
        assert module != self._program
        padding = random.Random(self.version).randbytes(PADDING)
        module = append_section(module, "padding", padding)
        self._before, self._now = self._now, hashlib.sha256(module).digest()
        self._modules = {self._now: module}
        desired = Desired(self.version, {0: DesiredSlot(self._now, len(module))})
        await self._broker.publish(self._topics.desired, desired.encode(), qos=1, retain=True)

    def _done(self) -> bool:
        state = self._state
        return state is not None and state.online and state.link and state.sequence == self.version

    async def done_or_dead(self, agent: MortalAgent) -> bool:
        """Wait until the agent reports the version as done, or its process is gone; True for the first."""
        async with asyncio.timeout(WAIT_S):
            while not self._done():
                if not agent.alive:
                    return False
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await self._news.wait()
        return True

    async def complete(self) -> None:
        """Let a new agent do what is left."""
        agent = self.agent()
        try:
            assert await self.done_or_dead(agent)
        finally:
            agent.kill()

    async def _slot(self, link: Link) -> tuple[SlotStatus, list[str]]:
        """Give the slot's status and its output since the last version's."""
        status = await link.slot(0)
        answer = await link.logs(0, self._cursor)
        return status, [data.decode() for _, _, _, data in answer.records]

    async def check_between(self) -> None:
        """Check a device whose agent just died."""
        async with Link(self.toll.port) as link:
            status, lines = await self._slot(link)
        assert status.state == "running"
        if status.digest == self._now:
            assert status.starts == self._starts + 1
            assert lines in ([], [self._line()])
        else:
            assert (status.digest, status.starts, lines) == (self._before, self._starts, [])

    async def check_done(self, *, sent: int, size: int) -> None:
        """Check a device that has the version: running, started once, sent once."""
        async with Link(self.toll.port) as link:
            status, lines = await self._slot(link)
        assert (status.state, status.digest) == ("running", self._now)
        assert status.starts == self._starts + 1
        assert lines == [self._line()]
        assert size <= sent < 2 * size
        self._sent, self._needed = self._sent + sent, self._needed + size
        self._cursor, self._starts = status.log_next, status.starts

    def check_resumed(self) -> None:
        """Check that uploads went on: all deployments together sent little more than what they had to."""
        assert self._sent < 1.2 * self._needed

    def _line(self) -> str:
        return f"version {self.version:04} runs"


@contextlib.asynccontextmanager
async def world_in(folder: Path) -> AsyncIterator[World]:
    """A device that runs version 1."""
    async with (
        broker_or_skip(folder) as broker,
        running_simulator() as simulator,
        toll_on(simulator.port) as toll,
    ):
        world = World(folder, broker.url, toll)
        async with world.connected():
            await world.publish()
            toll.expect()
            await world.complete()
            await world.check_done(sent=toll.uploaded, size=toll.announced)
            yield world


@pytest.mark.parametrize("torn", [False, True], ids=["the request arrives", "half of it arrives"])
async def test_killed_at_every_request(tmp_path: Path, capsys: pytest.CaptureFixture[str], *, torn: bool) -> None:
    killed: Counter[str] = Counter()
    async with world_in(tmp_path) as world:
        for name in KINDS:
            while await killed_at(world, name, killed[name] + 1, torn=torn):
                killed[name] += 1
        world.check_resumed()
    assert [name for name in KINDS if not killed[name]] == []
    assert killed["upload"] >= 4
    with capsys.disabled():
        print(f"\nagent killed at each of {killed.total()} requests of a deployment: {dict(killed)}")


async def killed_at(world: World, name: str, count: int, *, torn: bool) -> bool:
    """Deploy a version with an agent that dies at its n-th request of a name; False if it was done before."""
    toll = world.toll
    await world.publish()
    agent = world.agent()
    toll.expect((name, count), torn=torn, on_stop=agent.kill)  # nothing is read from it before the next await
    done = await world.done_or_dead(agent)
    agent.kill()
    requests, sent, size = toll.requests.copy(), toll.uploaded, toll.announced
    toll.expect()
    if not done:
        if not torn:
            await world.check_between()
            toll.expect()
        await world.complete()
    await world.check_done(sent=sent + toll.uploaded, size=size or toll.announced)
    return not done and "start" not in requests[:-AFTER]


async def test_killed_at_every_step_on_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    killed: Counter[str] = Counter()
    async with world_in(tmp_path) as world:
        for step in STEPS:
            while await killed_before(world, step, killed[step] + 1):
                killed[step] += 1
        world.check_resumed()
    assert [step for step in STEPS if not killed[step]] == []
    with capsys.disabled():
        print(f"\nagent killed before each of {killed.total()} steps on disk: {dict(killed)}")


async def killed_before(world: World, step: str, count: int) -> bool:
    """Deploy a version with an agent that dies before its n-th step of a kind; False if it was done before."""
    await world.publish()
    world.toll.expect()
    agent = world.agent((step, count))
    done = await world.done_or_dead(agent)
    agent.kill()
    if not done:
        assert agent.died_itself
        await world.complete()
    await world.check_done(sent=world.toll.uploaded, size=world.toll.announced)
    return not done
