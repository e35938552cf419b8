# SPDX-License-Identifier: Apache-2.0
"""Server, broker and agents together: deployments, chunks, reports, output, commands; restarts of each part."""

import contextlib

from agent.messages import Desired, LogLine, Metrics
from tests.server.live import application, devices, module, serving, until


async def test_a_module_reaches_devices_and_the_next_replaces_it(tmp_path):
    async with serving(tmp_path) as live, contextlib.AsyncExitStack() as stack:
        agents = await devices(live, "dev1", "dev2")
        for agent in agents:
            await stack.enter_async_context(agent.running())
        first = await live.upload(module("run", size=300_000))
        second = await live.upload(module("exit 3"))
        sequences = await live.ask("POST", "/deploy", json={"devices": ["dev1", "dev2"], "artifact": first})
        assert set(sequences) == {"dev1", "dev2"}

        async def runs(name, digest, state):
            device = await live.device(name)
            return [slot for slot in device["slots"] if slot["digest"] == digest and slot["state"] == state]

        for name in ("dev1", "dev2"):
            await until(lambda name=name: runs(name, first, "running"), f"{name} running the first module")
        assert (await live.device("dev1"))["state"] == "good"
        await live.ask("POST", "/deploy", json={"devices": ["dev1"], "artifact": second, "args": ["a"]})
        await until(lambda: runs("dev1", second, "exited"), "dev1 running the second module")
        assert await runs("dev2", first, "running")
        assert agents[0].desired.slots[0].args == ("a",)
        assert agents[0].seen == sorted(agents[0].seen)
        kinds = [event["kind"] for event in await live.ask("GET", "/events", params={"device": "dev1"})]
        assert "device.exited" in kinds
        assert "device.online" in kinds
        counts = await live.ask("GET", "/overview")
        assert counts["states"] == {"good": 2}
        assert {(entry["digest"], entry["devices"]) for entry in counts["modules"]} == {(first, 1), (second, 1)}


async def test_devices_are_found_by_the_class_that_they_report(tmp_path):
    async with serving(tmp_path) as live, contextlib.AsyncExitStack() as stack:
        agents = await devices(live, "dev1", "dev2", "dev3")
        for agent, name in zip(agents, ("pump", "valve", ""), strict=True):
            agent.device_class = name
            await stack.enter_async_context(agent.running())

        async def found(text):
            return [row["name"] for row in (await live.ask("GET", "/devices", params={"filter": text}))["devices"]]

        async def good():
            return (await live.ask("GET", "/overview"))["states"].get("good") == 3

        await until(good, "all reports")
        assert await found("class = pump") == ["dev1"]
        assert await found("class in (pump, valve)") == ["dev1", "dev2"]
        assert await found("class != pump") == ["dev2", "dev3"]
        assert (await live.device("dev1"))["class"] == "pump"
        agents[0].device_class = ""  # not known for a while: what was known stays
        agents[0].report()
        agents[1].device_class = "w" * 100  # longer than a class can be
        agents[1].report()
        await until(lambda: found(f"class = {'w' * 32}"), "the longest class")
        assert await found("class = pump") == ["dev1"]


async def test_output_counters_and_commands(tmp_path):
    async with serving(tmp_path) as live:
        (agent,) = await devices(live, "dev1")
        async with agent.running():
            agent.link.publish(agent.topic("log").encode(), LogLine(0, 1, 5, b"<b>hello", line=True).encode())
            agent.link.publish(agent.topic("met").encode(), Metrics({0: {"calls": 7}}).encode())
            agent.link.publish(agent.topic("log").encode(), b"nonsense")
            lines = await until(lambda: live.ask("GET", "/devices/dev1/logs"), "a line of output")
            assert [(line["slot"], line["seq"], line["text"]) for line in lines] == [(0, 5, "<b>hello")]
            samples = await until(lambda: live.ask("GET", "/devices/dev1/samples?slot=0"), "a sample")
            assert samples[0]["counters"] == {"calls": 7}
            answer = await live.ask("POST", "/devices/dev1/command", json={"action": "stop", "slot": 0})
            assert answer == {"ok": True, "error": None}


async def test_a_device_that_vanishes_is_offline_and_comes_back(tmp_path):
    async with serving(tmp_path) as live:
        (agent,) = await devices(live, "dev1")

        async def state():
            return (await live.device("dev1"))["state"]

        async with agent.running():
            await until(lambda: _equals(state(), "good"), "dev1 online")
        await until(lambda: _equals(state(), "offline"), "dev1 offline")
        digest = await live.upload(module("run"))
        await live.ask("POST", "/deploy", json={"devices": ["dev1"], "artifact": digest})
        async with agent.running():
            await until(lambda: agent.slots.get(0), "the module that was deployed meanwhile")
            await until(lambda: _equals(state(), "good"), "dev1 good again")


async def _equals(work, value):
    return await work == value


async def test_a_server_that_restarts_and_a_broker_that_forgot(tmp_path):
    async with serving(tmp_path) as live:
        (agent,) = await devices(live, "dev1")
        digest = await live.upload(module("run"))
        await live.ask("POST", "/deploy", json={"devices": ["dev1"], "artifact": digest})
        async with agent.running():
            await until(lambda: agent.slots.get(0), "the module")
            # the broker loses what it retained
            live.fleet.service.link._connection.publish(agent.topic("desired").encode(), b"", qos=1, retain=True)
            live.fleet.service._connected()
            before = len(agent.seen)
            await until(lambda: len(agent.seen) > before, "the desired state published again")
            # somebody else gives an order with a higher number: ours is raised above it
            live.fleet.service.link._connection.publish(
                agent.topic("desired").encode(), Desired(500).encode(), qos=1, retain=True
            )
            await until(lambda: agent.seen[-1] > 500, "a higher sequence")
            assert agent.desired.slots[0].digest.hex() == digest


async def test_one_of_two_workers_leads(tmp_path):
    async with serving(tmp_path) as live:
        await until(lambda: live.fleet.leads)
        async with application(tmp_path, live.broker, worker=1) as other:
            assert not other.fleet.lease.acquire()
            (agent,) = await devices(live, "dev1")
            other.fleet.service.devices_changed()
            async with agent.running():
                digest = await other.upload(module("run"))
                await other.ask("POST", "/deploy", json={"devices": ["dev1"], "artifact": digest})
                await until(lambda: agent.slots.get(0), "the module deployed through the other worker")


async def test_a_revoked_device_is_out(tmp_path):
    async with serving(tmp_path) as live:
        (agent,) = await devices(live, "dev1")
        async with agent.running():
            await live.ask("POST", "/devices/dev1/revoke")
            await until(lambda: not agent.link.is_open, "the broker closing its connection")
        assert (await live.device("dev1"))["state"] == "revoked"
