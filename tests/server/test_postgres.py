# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL and several workers: the same tables, one leader, nothing done twice, the audit log one chain."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fleet import audit
from fleet.access import SYSTEM
from fleet.bus import Bus
from fleet.bus_postgres import PostgresRelay
from fleet.context import REQUESTS
from fleet.database import Database, upgrade
from fleet.lease import LeaderLease, LostLeaseError
from fleet.models import Base
from tests.server.live import DEADLINE_S, application, devices, module, serving, until


@pytest.fixture
def url(postgres_url):
    upgrade(postgres_url)
    return postgres_url


def test_the_migrations_make_the_models(url):
    upgrade(url)
    database = Database(url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_the_audit_log_is_one_chain_for_many_writers(url):
    database = Database(url)

    def write(number):
        for step in range(5):
            with database.write() as session:
                audit.append(session, SYSTEM, "test", f"{number}-{step}", {"n": "\N{SNOWMAN}"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        verdict = audit.verify(session)
    assert (verdict.count, verdict.broken) == (30, None)
    database.close()


def test_a_lease_has_one_holder_and_its_epoch_stops_the_former(url, tmp_path):
    database = Database(url)
    first = LeaderLease(database, "one", tmp_path / "a", 0.4)
    second = LeaderLease(database, "two", tmp_path / "b", 60)
    assert first.acquire()
    assert first.acquire()
    epoch = first.epoch
    assert not second.acquire()
    while not second.acquire():  # the first one sleeps through the end of its lease
        time.sleep(0.05)
    assert second.epoch > epoch
    with database.read() as session:
        second.hold(session)
        with pytest.raises(LostLeaseError):
            first.hold(session)
    assert not first.acquire()
    second.release()
    assert first.acquire()
    database.close()


async def test_live_pages_see_what_another_worker_does(url, tmp_path):
    options = {"database": url, "lease_s": 3.0}
    async with (
        serving(tmp_path, **options) as one,
        application(tmp_path, one.broker, worker=1, **options) as two,
    ):
        (agent,) = await devices(one, "dev0")
        await until(lambda: one.fleet.leads != two.fleet.leads, "one leader")
        leader, other = (one.fleet, two.fleet) if one.fleet.leads else (two.fleet, one.fleet)
        with other.bus.subscribe("device:dev0") as stream, leader.bus.subscribe("fleet") as own:
            await until(lambda: "device:dev0" in leader.bus.elsewhere, "the leader knowing who watches")
            assert other.bus.elsewhere - set(REQUESTS) == {"fleet"}
            async with agent.running():
                async with asyncio.timeout(DEADLINE_S):
                    message = await stream.get()
                    assert (message.topic, message.kind) == ("device:dev0", "state")
                    assert message.data["device"] == "dev0"
                    assert (await own.get()).topic == "fleet"
            leader.bus.publish("device:dev1", "state", {"device": "dev1"})  # nobody watches that one
            leader.bus.publish("device:dev0", "long", {"text": "x" * 10_000})
            leader.bus.publish("device:dev0", "longest", {"text": "x" * 2_000_000})
            leader.bus.publish("device:dev0", "end", {})
            seen = []
            async with asyncio.timeout(DEADLINE_S):
                while not seen or seen[-1].kind != "end":
                    seen.append(await stream.get())
            assert {message.topic for message in seen} == {"device:dev0"}
            told = [message for message in seen if message.kind != "state"]
            assert [message.kind for message in told] == ["long", "lost", "end"]
            assert told[0].data == {"text": "x" * 10_000}, "what one notification does not hold comes in parts"
        await until(lambda: leader.bus.elsewhere == set(REQUESTS), "the leader forgetting who watched")


async def test_two_workers_roll_out_and_nobody_is_ordered_twice(url, tmp_path):
    options = {"database": url, "require_twin": False, "lease_s": 3.0}
    async with (
        serving(tmp_path, **options) as one,
        application(tmp_path, one.broker, worker=1, **options) as two,
        contextlib.AsyncExitStack() as stack,
    ):
        agents = await devices(one, *(f"dev{number}" for number in range(12)))
        two.fleet.service.devices_changed()
        await until(lambda: len(two.fleet.service._names) == 12)
        await until(lambda: one.fleet.leads != two.fleet.leads, "one leader")
        for agent in agents:
            await stack.enter_async_context(agent.running())
        digest = await two.upload(module("run", size=100_000))
        plan = {"twin": False, "approval": False, "check_s": 0.1, "waves": [{"count": 2}, {"percent": 100}]}
        body = {"name": "r", "artifact": digest, "filter": "all", "plan": plan, "start": True}
        number = (await two.ask("POST", "/rollouts", json=body))["id"]

        async def succeeded(live, count):
            return (await live.ask("GET", f"/rollouts/{number}"))["devices"].get("succeeded", 0) >= count

        await until(lambda: succeeded(two, 2), "the first wave")
        for live in (one, two):
            for agent in agents[:3]:
                answer = await live.ask("POST", f"/devices/{agent.name}/command", json={"action": "ping"})
                assert answer["ok"]
        leader, other = (one, two) if one.fleet.leads else (two, one)
        await leader.stop()
        await until(lambda: other.fleet.leads, "the other worker leading")
        await until(lambda: succeeded(other, 12), "all devices done")
        assert [agent.seen for agent in agents] == [[1]] * 12
        assert (await other.ask("GET", "/audit/verify"))["good"]
        for agent in agents[:6]:
            answer = await other.ask("POST", f"/devices/{agent.name}/command", json={"action": "ping"})
            assert answer == {"ok": True, "error": None}
        assert one.fleet.service.chunks.sent + two.fleet.service.chunks.sent >= 12 * 7
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 7_000, 8_000, 9_000, 100_000])
async def test_topics_and_messages_of_every_length_pass(url, size):
    """NOTIFY takes less than 8000 bytes."""
    one, two = Bus(), Bus()
    topic, text = f"log:{'t' * size}", "\N{SNOWMAN}" * size
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(PostgresRelay(url, bus, f"w{number}").run()) for number, bus in enumerate((one, two))
        ]
        with two.subscribe(topic) as stream, two.subscribe("log:short") as other:
            await until(lambda: {topic, "log:short"} <= one.elsewhere, "the other process's topics")
            one.publish(topic, "log", {"text": text})
            one.publish("log:short", "log", {"n": 1})
            message = await stream.get()
            assert (message.topic, message.kind, message.data) == (topic, "log", {"text": text})
            assert (await other.get()).data == {"n": 1}
            assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
