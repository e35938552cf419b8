# SPDX-License-Identifier: Apache-2.0
"""Rollouts on a whole server with agents: waves, thresholds, rollback, approval, joining, restarts of the engine."""

from __future__ import annotations

import contextlib

import pytest

from fleet.access import Role
from tests.server.live import application, devices, module, serving, until

QUICK = {"twin": False, "approval": False, "check_s": 0.1, "timeout_s": 60}


async def make(live, digest, plan=None, **body):
    fields = {"name": "test", "artifact": digest, "filter": "all", "plan": QUICK | (plan or {}), "start": True}
    return (await live.ask("POST", "/rollouts", json=fields | body))["id"]


async def phase(live, number):
    return (await live.ask("GET", f"/rollouts/{number}"))["phase"]


def reaches(live, number, wanted):
    async def check():
        return await phase(live, number) == wanted

    return until(check, f"rollout {number} being {wanted}")


@contextlib.asynccontextmanager
async def fleet_of(tmp_path, count, **options):
    async with serving(tmp_path, require_twin=False, **options) as live, contextlib.AsyncExitStack() as stack:
        agents = await devices(live, *(f"dev{number}" for number in range(count)))
        for agent in agents:
            await stack.enter_async_context(agent.running())

        async def online():
            return (await live.ask("GET", "/overview"))["states"] == {"good": count}

        await until(online, "all devices online")
        yield live, agents


async def test_waves_reach_every_device_once(tmp_path):
    async with fleet_of(tmp_path, 8) as (live, agents):
        digest = await live.upload(module("run", size=10_000))
        plan = {"waves": [{"count": 1}, {"percent": 50}], "max_in_flight": 2}
        number = await make(live, digest, plan)
        await reaches(live, number, "completed")
        rollout = await live.ask("GET", f"/rollouts/{number}")
        assert rollout["devices"] == {"succeeded": 8}
        assert [wave["devices"] for wave in rollout["waves"]] == [{"succeeded": n} for n in (1, 3, 4)]
        assert rollout["curve"][-1] == {"at_ms": rollout["curve"][-1]["at_ms"], "ended": 8, "failed": 0}
        for agent in agents:
            assert agent.slots[0].digest.hex() == digest
            assert agent.seen == [1]
        kinds = [event["kind"] for event in await live.ask("GET", f"/events?rollout={number}")]
        assert kinds.count("rollout.wave") == 2


async def test_a_bad_version_stops_at_the_canary_and_goes_back(tmp_path):
    async with fleet_of(tmp_path, 6) as (live, agents):
        good = await live.upload(module("run"))
        bad = await live.upload(module("trap unreachable"))
        await reaches(live, await make(live, good, {"waves": [{"percent": 100}]}), "completed")
        number = await make(live, bad, {"waves": [{"count": 2}], "on_error": "rollback", "min_samples": 5})
        await reaches(live, number, "returned")
        rollout = await live.ask("GET", f"/rollouts/{number}")
        assert rollout["devices"] == {"failed": 2, "skipped": 4}
        assert "wave 1: 0 of 2" in str(await live.ask("GET", f"/events?rollout={number}"))
        await until(lambda: all(agent.slots[0].digest.hex() == good for agent in agents), "all back on the old one")
        assert sum(bad in {slot.digest.hex() for slot in [agent.desired.slots[0]]} for agent in agents) == 0
        assert all(agent.seen == sorted(set(agent.seen)) for agent in agents)
        failing = await live.ask("GET", f"/rollouts/{number}/devices?state=failed")
        assert len(failing) == 2
        assert all("trapped: unreachable" in device["error"] for device in failing)


async def test_a_rollout_is_taken_back_from_devices_that_had_nothing_before(tmp_path):
    async with fleet_of(tmp_path, 4) as (live, agents):
        digest = await live.upload(module("run"))
        number = await make(live, digest, {"waves": [{"percent": 100}], "max_in_flight": 2})
        await reaches(live, number, "completed")
        await live.ask("POST", f"/rollouts/{number}/rollback", json={"reason": "wrong colour"})
        await reaches(live, number, "returned")
        assert (await live.ask("GET", f"/rollouts/{number}"))["devices"] == {"returned": 4}
        assert all(agent.desired.slots == {} for agent in agents)
        entry = (await live.ask("GET", "/audit?action=rollout.rollback"))[0]
        assert entry["detail"] == {"reason": "wrong colour"}


async def test_pause_resume_and_abort(tmp_path):
    async with fleet_of(tmp_path, 6) as (live, agents):
        bad = await live.upload(module("exit 3"))
        plan = {"waves": [{"count": 1}, {"count": 1}, {"percent": 100}], "on_error": "pause", "error_percent": 10}
        number = await make(live, bad, plan)
        await reaches(live, number, "paused")
        assert (await live.ask("GET", f"/rollouts/{number}"))["devices"] == {"failed": 1, "waiting": 5}
        await live.ask("POST", f"/rollouts/{number}/resume", json={})

        async def two():
            return (await live.ask("GET", f"/rollouts/{number}"))["devices"].get("failed") == 2

        await until(two, "the second wave failing, too")
        await reaches(live, number, "paused")
        await live.ask("POST", f"/rollouts/{number}/abort", json={})
        await reaches(live, number, "stopped")

        async def skipped():
            return (await live.ask("GET", f"/rollouts/{number}"))["devices"] == {"failed": 2, "skipped": 4}

        await until(skipped, "the rest being skipped")
        assert sum(bool(agent.seen) for agent in agents) == 2
        with pytest.raises(AssertionError, match="not possible"):
            await live.ask("POST", f"/rollouts/{number}/resume", json={})


async def test_another_person_has_to_approve(tmp_path):
    async with fleet_of(tmp_path, 1) as (live, agents):
        digest = await live.upload(module("run"))
        fields = {"name": "a", "artifact": digest, "filter": "all", "plan": QUICK | {"approval": True}, "start": True}
        number = (await live.ask("POST", "/rollouts", role=Role.APPROVER, json=fields))["id"]
        await reaches(live, number, "approval")
        for role, words in ((Role.OPERATOR, "role approver"), (Role.APPROVER, "another person")):
            with pytest.raises(AssertionError, match=words):
                await live.ask("POST", f"/rollouts/{number}/approve", role=role, json={})
        assert agents[0].seen == []
        await live.ask("POST", f"/rollouts/{number}/approve", role=Role.ADMIN, json={})
        await reaches(live, number, "completed")
        assert (await live.ask("GET", f"/rollouts/{number}"))["approved_by"] == "admin0"


async def test_no_device_is_touched_before_the_twin_reported(tmp_path):
    async with fleet_of(tmp_path, 1) as (live, agents):
        digest = await live.upload(module("run"))
        number = await make(live, digest, {"twin": True})

        async def job():
            return (await live.ask("GET", f"/rollouts/{number}"))["twin"]

        jobs = await until(job, "a job for the twin")
        assert jobs[0]["state"] == "waiting"
        assert await phase(live, number) == "gate"
        assert agents[0].seen == []
        await live.ask("POST", f"/rollouts/{number}/abort", json={})
        assert await phase(live, number) == "refused"


async def test_a_server_that_requires_the_twin_lets_no_plan_without_it(tmp_path):
    async with serving(tmp_path) as live:
        digest = await live.upload(module("run"))
        with pytest.raises(AssertionError, match="twin"):
            await make(live, digest)


async def test_devices_that_match_later_join_and_others_do_not(tmp_path):
    async with fleet_of(tmp_path, 3) as (live, agents):
        digest = await live.upload(module("run"))
        await live.ask("POST", "/tags", json={"devices": ["dev0", "dev1"], "set": {"site": "lab"}})
        await live.ask("POST", "/devices", json={"name": "absent", "tags": {"site": "lab"}})
        number = await make(live, digest, {"waves": [{"percent": 100}]}, filter="tag.site = lab")

        async def succeeded(count):
            return (await live.ask("GET", f"/rollouts/{number}"))["devices"].get("succeeded") == count

        await until(lambda: succeeded(2), "two devices done")
        assert await phase(live, number) == "running"  # one is offline, it waits for it
        await live.ask("POST", "/tags", json={"devices": ["dev2"], "set": {"site": "lab"}})
        await until(lambda: succeeded(3), "the third one joining")
        assert all(agent.slots[0].digest.hex() == digest for agent in agents)


async def test_a_failed_device_is_tried_again_after_its_penalty(tmp_path):
    async with fleet_of(tmp_path, 2) as (live, agents):
        digest = await live.upload(module("run"))
        agents[0].broken = 1  # the first order fails
        plan = {"waves": [{"percent": 100}], "attempts": 2, "penalty_s": 0.2, "error_percent": 100}
        number = await make(live, digest, plan)
        await reaches(live, number, "completed")
        rows = {row["device"]: row for row in await live.ask("GET", f"/rollouts/{number}/devices")}
        assert (rows["dev0"]["state"], rows["dev0"]["attempts"]) == ("succeeded", 2)
        assert (rows["dev1"]["state"], rows["dev1"]["attempts"]) == ("succeeded", 1)


async def test_a_deployment_in_between_takes_a_device_out(tmp_path):
    async with fleet_of(tmp_path, 1) as (live, agents):
        first, second = await live.upload(module("run", 1)), await live.upload(module("run", 2))
        number = await make(live, first, {"check_s": 3600})

        async def checking():
            return (await live.ask("GET", f"/rollouts/{number}"))["devices"] == {"checking": 1}

        await until(checking)
        await live.ask("POST", "/deploy", json={"devices": ["dev0"], "artifact": second})
        await reaches(live, number, "completed")
        assert (await live.ask("GET", f"/rollouts/{number}"))["devices"] == {"skipped": 1}
        assert agents[0].slots[0].digest.hex() == second


async def test_a_server_that_ends_half_way_goes_on_where_it_was(tmp_path):
    async with serving(tmp_path, require_twin=False) as live, contextlib.AsyncExitStack() as stack:
        agents = await devices(live, *(f"dev{number}" for number in range(5)))
        for agent in agents:
            await stack.enter_async_context(agent.running())
        digest = await live.upload(module("run"))
        plan = {"waves": [{"count": 1, "bake_s": 1}, {"percent": 100}], "max_in_flight": 1}
        number = await make(live, digest, plan)
        async with application(tmp_path, live.broker, worker=1, require_twin=False) as other:

            async def one():
                return (await live.ask("GET", f"/rollouts/{number}"))["devices"].get("succeeded", 0) >= 1

            await until(one)
            await live.stop()
            await until(lambda: other.fleet.leads, "the other worker leading")
            await reaches(other, number, "completed")
            assert (await other.ask("GET", f"/rollouts/{number}"))["devices"] == {"succeeded": 5}
            assert [agent.seen for agent in agents] == [[1]] * 5
