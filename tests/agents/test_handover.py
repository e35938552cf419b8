# SPDX-License-Identifier: Apache-2.0
"""Commands that last leave the line to an agent that comes up, and go on through it."""

import time

import pytest

from agent.link.simulated import module
from tests.agents.conftest import running, wasel, wasel_process
from tests.agents.test_daemon import agent_for, watch

WAIT_S = 60


def read_line(process, words: str) -> None:
    """Read a process's output up to the line with these words."""
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"ended without {words!r}: {process.stderr.read()}")


@pytest.mark.parametrize("named", [True, False], ids=["device", "port"])
async def test_who_waits_for_a_module_lets_its_agent_in(device, broker, tmp_path, named):
    app = tmp_path / "app.wasm"
    app.write_bytes(module("print hello", "run"))
    place = ["--port", device.url, *(["--device", "hand1"] if named else [])]
    with running("flash", str(app), *place, "--start", "--wait") as waiting:
        read_line(waiting, "hello")
        async with watch(broker, "hand1") as watcher:
            with agent_for("hand1", device, broker):
                await watcher.until(lambda: watcher.states and watcher.states[-1].link)
                assert waiting.poll() is None, "it gave up instead of giving way"
                stopped = wasel_process("stop", "--device", "hand1")
                assert stopped.returncode == 0, stopped.stderr
                assert waiting.wait(WAIT_S) != 0
                assert "app.wasm: is stopped" in waiting.stderr.read()


@pytest.mark.parametrize("command", ["logs --follow", "monitor"])
async def test_who_follows_goes_on_through_the_agent_and_loses_nothing(device, broker, tmp_path, command):
    app = tmp_path / "app.wasm"
    app.write_bytes(module("print said $1", "exit 0"))
    place = ["--port", device.url]
    assert wasel_process("flash", str(app), *place, "--start", "--arg", "0").returncode == 0
    history = ["--history"] if command == "monitor" else []
    with running(*command.split(), *place, *history) as following:
        read_line(following, "said 0")
        async with watch(broker, "hand2") as watcher:
            with agent_for("hand2", device, broker):
                await watcher.until(lambda: watcher.states and watcher.states[-1].link)
                for number in range(1, 4):
                    done = wasel_process("start", "--device", "hand2", "--arg", str(number))
                    assert done.returncode == 0, done.stderr
                seen = [following.stdout.readline() for _ in range(3)] if command != "monitor" else []
                if command == "monitor":
                    for number in range(1, 4):
                        read_line(following, f"said {number}")
                else:
                    assert [line.split()[-1] for line in seen] == ["1", "2", "3"]
                assert following.poll() is None


def test_a_command_right_after_the_agents_begin_waits_for_its_link(device, broker, state):
    with agent_for("hand3", device, broker):
        path = state / "devices" / "hand3" / "agent.sock"
        deadline = time.monotonic() + WAIT_S
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.001)
        shown = wasel("ps", "--device", "hand3")
    assert shown.returncode == 0, shown.stderr
