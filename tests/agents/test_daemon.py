# SPDX-License-Identifier: Apache-2.0
"""The agent as a process, a real mosquitto, a simulated device: deploy, replace, kill, report, share the port."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import time
from contextlib import asynccontextmanager

import pytest

from agent.errors import EXIT_FAILURE, EXIT_LINK, EXIT_REFUSED, EXIT_TRAP, EXIT_USAGE
from agent.link.simulated import SimulatedDevice, module
from agent.messages import Desired, DesiredSlot, Get, LogLine, State, slice_module
from agent.mqtt import Broker
from agent.topics import Topics
from tests.agents.conftest import DeviceThread, free_port, mosquitto, running, wasel, wasel_process

WAIT_S = 20


class Watcher:
    """What the broker's other clients see of one device."""

    def __init__(self, url, name):
        self.topics = Topics(name)
        self.states = []
        self.logs = []
        self.news = asyncio.Event()
        self.broker = Broker(url, on_message=self._message)

    def _message(self, topic, body):
        if topic == self.topics.state:
            self.states.append(State.parse(body))
        else:
            self.logs.append(LogLine.parse(body))
        self.news.set()

    async def until(self, good):
        async with asyncio.timeout(WAIT_S):
            while not good():
                await self.news.wait()
                self.news.clear()

    def busy_with(self, digest):
        return any(entry.digest == digest for state in self.states for entry in state.progress.values())

    def reached(self, sequence):
        return bool(self.states) and self.states[-1].sequence >= sequence

    def last(self, slot=0):
        return self.states[-1].slots[slot] if self.states and len(self.states[-1].slots) > slot else None


@asynccontextmanager
async def watch(url, name):
    watcher = Watcher(url, name)
    async with watcher.broker:
        watcher.broker.subscribe(watcher.topics.state, watcher.topics.log, qos=1)
        yield watcher


def agent_for(name, device, broker):
    return running("agent", "--device", name, "--port", device.url, "--broker", broker)


def write(tmp_path, name, *lines, size=0):
    path = tmp_path / name
    path.write_bytes(module(*lines, size=size))
    return path


async def test_deploy_replace_report_and_share_the_port(device, broker, tmp_path):
    one = write(tmp_path, "app.wasm", "print version 1 for $WHO", "run", size=40000)
    two = write(tmp_path, "app2.wasm", "print version 2", "exit 0", size=30000)
    async with watch(broker, "dev1") as watcher:
        with agent_for("dev1", device, broker) as agent:
            first = await asyncio.to_thread(
                wasel, "deploy", str(one), "--device", "dev1", "--broker", broker, "--env", "WHO=us"
            )
            assert first.returncode == 0, first.stderr
            assert first.stdout.startswith("dev1: slot 0: app.wasm running, 39.1 KiB")
            assert first.stderr == ""
            await watcher.until(lambda: watcher.logs)
            assert watcher.logs[0] == LogLine(0, 1, 0, b"version 1 for us", line=True)
            # Another slot joins, the first stays.
            second = await asyncio.to_thread(
                wasel, "deploy", str(two), "--device", "dev1", "--slot", "1", "--broker", broker, "--json"
            )
            assert json.loads(second.stdout)["state"] == "exited"
            third = await asyncio.to_thread(wasel, "deploy", str(two), "--device", "dev1", "--broker", broker)
            assert third.returncode == 0, third.stderr
            assert [slot for slot, _ in device.device.started] == [0, 1, 0]
            # Other commands go through the agent.
            listing = await asyncio.to_thread(wasel, "ps", "--device", "dev1", "--json")
            assert json.loads(listing.stdout)["slots"][0]["starts"] == 2
            direct = await asyncio.to_thread(wasel, "ps", "--device", "dev1", "--port", device.url)
            assert direct.returncode == EXIT_LINK
            assert "agent holds the port" in direct.stderr
            logs = await asyncio.to_thread(wasel, "logs", "--device", "dev1")
            assert logs.stdout == "version 1 for us\nversion 2\n"
            flashed = await asyncio.to_thread(wasel, "flash", str(one), "--device", "dev1", "--slot", "1")
            assert flashed.returncode == 0, flashed.stderr
            # A second agent for the device is refused.
            twice = await asyncio.to_thread(
                wasel_process, "agent", "--device", "dev1", "--port", device.url, "--broker", broker
            )
            assert twice.returncode == EXIT_USAGE
            assert "already has an agent" in twice.stderr
            assert device.device.seed is not None
            assert device.device.datetime is not None
            agent.send_signal(signal.SIGTERM)
            await asyncio.to_thread(agent.wait, 10)
            assert agent.returncode == 0
        await watcher.until(lambda: not watcher.states[-1].online)


async def test_same_module_with_other_arguments_is_started_but_not_sent(device, broker, tmp_path):
    app = write(tmp_path, "app.wasm", "print $1", "run", size=9000)
    with agent_for("dev2", device, broker):
        for argument in ("a", "b", "b"):
            result = await asyncio.to_thread(
                wasel, "deploy", str(app), "--device", "dev2", "--broker", broker, "--arg", argument
            )
            assert result.returncode == 0, result.stderr
    assert [data for _, _, _, data in device.device.slots[0].log] == [b"a", b"b"]
    assert device.device.received_upload_bytes == 9000


async def test_logs_from_afar(broker):
    topics = Topics("dev14")
    with running("logs", "--device", "dev14", "--slot", "1", "--broker", broker) as listener:
        async with watch(broker, "dev14") as watcher, asyncio.timeout(WAIT_S):
            line = asyncio.create_task(asyncio.to_thread(listener.stdout.readline))
            seq = 0
            while not line.done():  # until the listener is there to hear it
                for slot in (0, 1):
                    body = LogLine(slot, 1, seq, b"of slot %d" % slot, line=True).encode()
                    await watcher.broker.publish(topics.log, body)
                seq += 1
                await asyncio.sleep(0.02)
            assert line.result() == "of slot 1\n"


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (("refuse unknown import env.foo",), EXIT_REFUSED, "unknown import env.foo"),
        (("trap unreachable",), EXIT_TRAP, "trap: unreachable"),
        (("exit 7",), EXIT_FAILURE, "exit code 7"),
    ],
)
async def test_endings_of_a_deployed_module(device, broker, tmp_path, lines, code, words):
    name = f"dev-{code}"
    app = write(tmp_path, "bad.wasm", *lines)
    with agent_for(name, device, broker):
        result = await asyncio.to_thread(wasel, "deploy", str(app), "--device", name, "--broker", broker)
    assert result.returncode == code
    assert words in result.stderr
    assert len(device.device.started) == 1


async def test_what_the_device_cannot_take_is_said(broker, tmp_path):
    app = write(tmp_path, "big.wasm", "print x", size=9000)
    with DeviceThread(SimulatedDevice(module_max=5000)) as small, agent_for("dev3", small, broker):
        big = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev3", "--broker", broker)
        assert big.returncode == EXIT_REFUSED
        assert "the device takes 5000" in big.stderr
        far = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev3", "--slot", "9", "--broker", broker)
        assert far.returncode == EXIT_REFUSED
        assert "no slot 9" in far.stderr


async def test_no_room_for_both_versions_erases_the_old_one_first(broker, tmp_path):
    with DeviceThread(SimulatedDevice(module_max=10000)) as small, agent_for("dev10", small, broker):
        for name in ("one", "two"):
            app = write(tmp_path, name, f"print {name}", "run", size=7000)
            result = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev10", "--broker", broker)
            assert result.returncode == 0, result.stderr
        back = await asyncio.to_thread(wasel, "deploy", str(tmp_path / "one"), "--device", "dev10", "--broker", broker)
        assert back.returncode == 0, back.stderr
    assert [data for _, _, _, data in small.device.slots[0].log] == [b"one", b"two", b"one"]


async def test_back_to_the_former_version_sends_nothing(device, broker, tmp_path):
    with agent_for("dev11", device, broker):
        received = []
        for name in ("one", "two", "one"):
            app = write(tmp_path, name, f"print {name}", "run", size=7000)
            result = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev11", "--broker", broker)
            assert result.returncode == 0, result.stderr
            received.append(device.device.received_upload_bytes)
    assert [data for _, _, _, data in device.device.slots[0].log] == [b"one", b"two", b"one"]
    assert 0 < received[0] < received[1] == received[2]


async def test_deploy_without_an_agent_says_so(broker, tmp_path):
    app = write(tmp_path, "app.wasm", "print x")
    result = await asyncio.to_thread(
        wasel, "deploy", str(app), "--device", "dev4", "--broker", broker, "--timeout", "0.5"
    )
    assert result.returncode == EXIT_LINK
    assert "run 'wasel agent --device dev4'" in result.stderr


async def test_killed_in_the_middle_of_a_push_it_runs_once(broker, tmp_path):
    app = write(tmp_path, "app.wasm", "print hello", "run", size=60000)
    digest = hashlib.sha256(app.read_bytes()).digest()
    with DeviceThread(SimulatedDevice(buf_size=512, buf_count=1), delay_s=0.01) as device:
        async with watch(broker, "dev5") as watcher:
            with agent_for("dev5", device, broker) as agent:
                deployed = asyncio.create_task(
                    asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev5", "--broker", broker)
                )
                await watcher.until(
                    lambda: any(
                        entry.phase == "push" and entry.offset > 10000
                        for state in watcher.states
                        for entry in state.progress.values()
                    )
                )
                agent.kill()
                await asyncio.to_thread(agent.wait, 10)
            assert device.device.started == []
            before = device.device.received_upload_bytes
            assert 10000 < before < 60000
            await watcher.until(lambda: not watcher.states[-1].online)
            with agent_for("dev5", device, broker):
                result = await deployed
                assert result.returncode == 0, result.stderr
                await watcher.until(lambda: watcher.logs)
        assert device.device.started == [(0, digest)]
        # The push went on where the device was: at most the chunks under way were sent again.
        assert device.device.received_upload_bytes < 60000 + 2000


async def test_restarted_with_nothing_to_do_it_does_nothing_and_a_reset_device_is_served_again(broker, tmp_path):
    app = write(tmp_path, "app.wasm", "print hello", "run", size=5000)
    with DeviceThread(SimulatedDevice()) as device:
        async with watch(broker, "dev6") as watcher:
            with agent_for("dev6", device, broker):
                result = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev6", "--broker", broker)
                assert result.returncode == 0, result.stderr
                await watcher.until(lambda: watcher.logs)
            await watcher.until(lambda: not watcher.states[-1].online)
            with agent_for("dev6", device, broker):
                await watcher.until(lambda: watcher.states[-1].online and watcher.states[-1].sequence == 1)
                assert len(device.device.started) == 1
                assert len(watcher.logs) == 1
                device.device.power_cycle()
                await watcher.until(lambda: len(watcher.logs) == 2)
                assert len(device.device.started) == 2


async def test_a_newer_desired_state_interrupts_the_older_and_wins(broker):
    modules = [module(f"print {n}", "run", size=20000) for n in range(5)]
    by_digest = {hashlib.sha256(data).digest(): data for data in modules}
    topics = Topics("dev12")
    with DeviceThread(SimulatedDevice(buf_size=1024, buf_count=1), delay_s=0.02) as slow:
        async with watch(broker, "dev12") as watcher:
            serving: set[asyncio.Task[None]] = set()

            def serve_chunks(topic, body):
                if topic != topics.get:
                    return
                get = Get.parse(body)
                for chunk in slice_module(by_digest[get.digest], get.digest, get):
                    serving.add(asyncio.create_task(server.publish(topics.chunk, chunk.encode())))

            server = Broker(broker, on_message=serve_chunks)
            async with server:
                server.subscribe(topics.get)
                with agent_for("dev12", slow, broker):
                    for sequence, digest in enumerate(by_digest, 1):
                        desired = Desired(sequence, {0: DesiredSlot(digest, 20000)})
                        await server.publish(topics.desired, desired.encode(), qos=1, retain=True)
                        if sequence < 5:
                            # Not before the agent is at work on it, and hardly ever to its end.
                            await watcher.until(lambda d=digest, n=sequence: watcher.busy_with(d) or watcher.reached(n))
                    await watcher.until(lambda: watcher.states[-1].sequence == 5)
                    assert watcher.last().digest == digest
        assert slow.device.started.count((0, digest)) == 1
        assert len(slow.device.started) == len(set(slow.device.started))


async def test_older_and_conflicting_desired_states_are_ignored(device, broker):
    app = module("print x")
    topics = Topics("dev7")
    slot = DesiredSlot(hashlib.sha256(app).digest(), len(app))
    async with watch(broker, "dev7") as watcher:
        await watcher.broker.publish(topics.desired, Desired(5, {9: slot}).encode(), qos=1, retain=True)
        with agent_for("dev7", device, broker):
            await watcher.until(lambda: watcher.states and watcher.states[-1].sequence == 5)
            assert "no slot 9" in watcher.states[-1].errors[9]
            for body in (Desired(4, {8: slot}).encode(), Desired(5, {8: slot}).encode(), b"junk", Desired(6).encode()):
                await watcher.broker.publish(topics.desired, body, qos=1)
            await watcher.until(lambda: watcher.states[-1].sequence == 6)
            assert not any(8 in state.errors for state in watcher.states)


async def test_agent_outlives_a_device_that_goes_away(broker):
    with DeviceThread(SimulatedDevice()) as first:
        port = int(first.url.rsplit(":", 1)[1])
        async with watch(broker, "dev8") as watcher:
            with agent_for("dev8", first, broker):
                await watcher.until(lambda: watcher.states and watcher.states[-1].link)
                first.__exit__()
                await watcher.until(lambda: not watcher.states[-1].link)
                again = DeviceThread(SimulatedDevice(), port=port)
                with again:
                    await watcher.until(lambda: watcher.states[-1].link)
                    assert again.device.seed is not None


def test_control_socket_of_a_killed_agent_does_not_hold_the_port(device, broker, state):
    with agent_for("dev9", device, broker) as agent:
        path = state / "devices" / "dev9" / "agent.sock"
        deadline = time.monotonic() + WAIT_S
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        agent.kill()
        agent.wait(10)
    assert path.exists()
    result = wasel("ps", "--device", "dev9", "--port", device.url)
    assert result.returncode == 0, result.stderr


async def test_a_broker_that_forgets_everything_is_told_again(device, tmp_path):
    app = write(tmp_path, "app.wasm", "print hello", "run", size=5000)
    port = free_port()
    with contextlib.ExitStack() as first, contextlib.ExitStack() as rest:
        url = first.enter_context(mosquitto(tmp_path, port))
        rest.enter_context(agent_for("dev13", device, url))
        result = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev13", "--broker", url)
        assert result.returncode == 0, result.stderr
        first.close()
        rest.enter_context(mosquitto(tmp_path, port))
        async with watch(url, "dev13") as watcher:
            await watcher.until(lambda: watcher.states and watcher.states[-1].online)
            assert watcher.last().state == "running"
            assert watcher.states[-1].accepted == 1
        result = await asyncio.to_thread(wasel, "deploy", str(app), "--device", "dev13", "--broker", url, "--arg", "x")
        assert result.returncode == 0, result.stderr
    assert len(device.device.started) == 2
