# SPDX-License-Identifier: Apache-2.0
"""A device against the fleet's broker: whatever it tries, it reads and writes its own topics and nothing else.

Each attempt is one trick of `mallory`. After each, the broker is known to have worked through it (messages round trip
behind it), and what `victim`, the server and `mallory` got is looked at. The same harness sees what is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest

from agent.errors import BrokerError
from fleet.broker_credentials import new_secret
from fleet.mqtt_connection import MqttConnection
from fleet.mqtt_packets import Connect

BASE = "wasel/1/default"
VICTIM, OWN = f"{BASE}/victim", f"{BASE}/mallory"
LEAVES = ("desired", "state", "get", "chunk", "log", "met", "cmd", "ack", "app/x")
SECRET = b"what only the victim and the server may see"
FORGED = b"forged by mallory"

READS = [
    *(f"{VICTIM}/{leaf}" for leaf in LEAVES),
    *("#", "+/#", "/#", "wasel/#", "wasel/1/#", f"{BASE}/#", f"{BASE}/+/desired", f"{BASE}/+/+", f"{BASE}/+/app/#"),
    *(f"{VICTIM}/#", "wasel/+/+/victim/#", "+/+/+/+/+", "$SYS/#", "$share/x/#", f"$share/x/{BASE}/+/state"),
    *(f"$share/x/{VICTIM}/desired", f"$share/mallory/{BASE}/+/+", f"{OWN}/../victim/#", f"{OWN}/app/../../victim/#"),
    f"$share/server/{BASE}/+/state",
]
WRITES = [
    *(f"{VICTIM}/{leaf}" for leaf in LEAVES),
    *(f"{OWN}/{leaf}" for leaf in ("desired", "chunk", "cmd")),  # the server's to say, also to mallory
    *(f"{OWN}/../victim/state", f"{BASE}//state", "wasel/1/other/victim/state", f"{BASE}/victim", "$SYS/broker/x"),
]
WILLS = [*(f"{VICTIM}/{leaf}" for leaf in LEAVES), f"{OWN}/desired", f"{OWN}/chunk"]
OTHERS = "mallory's"
LOGINS = [
    ("victim", OTHERS),
    ("victim", ""),
    ("victim", "wrong"),
    ("+", OTHERS),
    ("#", OTHERS),
    ("mallory/+", OTHERS),
    ("victim/", OTHERS),
    ("Victim", OTHERS),
    ("mallory", "wrong"),
    ("_server.0", OTHERS),
    ("_server.0", ""),
    ("_probe.1", ""),
    ("root", OTHERS),
    (None, None),
]
IDS = ["victim", "_server.0", "_server.1", "x"]


def test_there_are_at_least_fifty_attempts():
    assert len(READS) + 2 * len(WRITES) + 2 + len(WILLS) + len(LOGINS) + len(IDS) >= 50


class Scene:
    """The innocent: the victim with all that a device subscribes to, and the server behind its shared subscriptions."""

    def __init__(self, site, victim, server):
        self.site, self.victim, self.server = site, victim, server
        self.count = 0

    async def settle(self):
        """Wait until the broker has worked through all that was sent before."""
        self.count += 1
        mark = b"mark %d" % self.count
        await self.victim.send(f"{VICTIM}/state", mark)
        await self.server.until(lambda: (f"{VICTIM}/state", mark) in self.server.got)
        await self.server.send(f"{VICTIM}/cmd", mark)
        await self.victim.until(lambda: (f"{VICTIM}/cmd", mark) in self.victim.got)

    async def talk(self):
        """Everything that could be overheard, said aloud."""
        for leaf in ("desired", "chunk", "cmd", "app/x"):
            assert await self.server.send(f"{VICTIM}/{leaf}", SECRET, retain=leaf == "desired") == 0
        for leaf in ("state", "get", "log", "met", "ack", "app/x"):
            await self.victim.send(f"{VICTIM}/{leaf}", SECRET)
        await self.settle()

    def forged(self):
        return [entry for entry in (*self.victim.got, *self.server.got) if entry[1] == FORGED]


@contextlib.asynccontextmanager
async def scene(site):
    group = f"$share/{site.broker.share_group}"
    reads = [f"{group}/{BASE}/+/{leaf}" for leaf in ("state", "get", "log", "met", "ack")]
    leaves = [f"{VICTIM}/{leaf}" for leaf in LEAVES]
    async with (
        site.client("victim", subscribe=leaves) as victim,
        site.client("_server.0", tls=False, subscribe=[*reads, f"{OWN}/#"]) as server,
    ):
        yield Scene(site, victim, server)


async def test_what_is_allowed_works_and_would_be_seen(site):
    async with scene(site) as at, site.client("mallory", subscribe=[f"{OWN}/desired"]) as mallory:
        await at.talk()
        assert (f"{VICTIM}/desired", SECRET) in at.victim.got
        assert (f"{VICTIM}/state", SECRET) in at.server.got
        await mallory.send(f"{OWN}/state", FORGED)
        await at.server.send(f"{OWN}/desired", b"for mallory", retain=True)
        await at.settle()
        await mallory.until(lambda: mallory.got == [(f"{OWN}/desired", b"for mallory")])
        assert {topic for topic, _ in at.forged()} == {f"{OWN}/state"}


async def test_reads(site):
    allowed = []
    async with scene(site) as at:
        await at.talk()  # a retained desired state is there before mallory comes
        for topic in READS:
            async with site.client("mallory") as mallory:
                await mallory.mqtt.subscribe([(topic, 1)])
                await at.talk()
                with contextlib.suppress(BrokerError):
                    await mallory.send(f"{OWN}/ack", b"still there")
                allowed += [(topic, entry) for entry in mallory.got if entry[1] != b"still there"]
                if topic == "$share/server/wasel/1/default/+/state":
                    assert at.site.broker.share_group not in topic
    assert allowed == []


async def test_a_foreign_share_group_takes_no_message_from_the_server(site):
    async with scene(site) as at, site.client("mallory") as mallory:
        for group in ("server", "x", "mallory"):
            await mallory.mqtt.subscribe([(f"$share/{group}/{BASE}/+/state", 1)])
        for number in range(60):
            await at.victim.send(f"{VICTIM}/state", b"state %d" % number)
        await at.settle()
        assert [body for topic, body in at.server.got if body.startswith(b"state")] == [
            b"state %d" % number for number in range(60)
        ]
        assert mallory.got == []


@pytest.mark.parametrize("retain", [False, True])
async def test_writes(site, retain):
    async with scene(site) as at:
        await at.server.send(f"{VICTIM}/desired", SECRET, retain=True)
        for topic in WRITES:
            async with site.client("mallory") as mallory:
                await mallory.send(topic, FORGED, retain=retain)
                await at.settle()
        if retain:  # an empty retained message would forget the victim's desired state
            for leaf in ("desired", "state"):
                async with site.client("mallory") as mallory:
                    await mallory.send(f"{VICTIM}/{leaf}", b"", retain=True)
                    await at.settle()
        assert at.forged() == []
        async with site.client("_server.1", tls=False, subscribe=[f"{VICTIM}/desired"]) as late:
            await late.until(lambda: late.got == [(f"{VICTIM}/desired", SECRET)])


async def test_wills(site):
    async with scene(site) as at:
        for topic in WILLS:
            with contextlib.suppress(BrokerError):  # refused at CONNECT is as good
                async with site.client("mallory", will=(topic, FORGED)) as mallory:
                    mallory.mqtt.abort()
            await at.settle()
        assert at.forged() == []
        async with site.client("mallory", will=(f"{OWN}/state", FORGED)) as mallory:
            mallory.mqtt.abort()  # its own will is its own
        await at.server.until(lambda: set(at.forged()) == {(f"{OWN}/state", FORGED)})


@pytest.mark.parametrize("tls", [True, False])
async def test_logins(site, tls):
    inside = []
    for user, password in LOGINS:
        given = site.secrets["mallory"].password if password == OTHERS else password
        port = site.broker.port if tls else site.broker.server_port
        context = site.tls() if tls else None
        try:
            client = await MqttConnection.open(
                "127.0.0.1", port, Connect("", user, given), lambda _: None, lambda _: None, tls=context
            )
        except BrokerError:
            continue
        client.close()
        inside.append((user, password))
    assert inside == []


async def test_nobody_takes_over_a_session_by_its_client_id(site):
    async with scene(site) as at:
        for name in IDS:
            async with site.client("mallory", client_id=name, clean_start=False, session_expiry_s=60) as mallory:
                await at.talk()
                assert mallory.got == []
        assert at.victim.lost is None
        assert at.server.lost is None


async def test_a_plain_connection_to_the_tls_port_gets_nothing(site):
    with pytest.raises(BrokerError):
        await MqttConnection.open(
            "127.0.0.1",
            site.broker.port,
            Connect("", "mallory", site.secrets["mallory"].password),
            lambda _: None,
            lambda _: None,
        )


async def test_a_packet_over_the_limit_ends_that_connection_only(site):
    async with scene(site) as at, site.client("mallory") as mallory:
        mallory.mqtt.publish(f"{OWN}/log".encode(), bytes(site.broker.settings.max_packet_bytes + 1))
        await mallory.until(lambda: mallory.lost is not None)
        await at.settle()
        assert at.victim.lost is None


async def test_credentials_change_without_dropping_anybody_else(site):
    hashes = {name: secret.hash for name, secret in site.secrets.items()}
    async with scene(site) as at, site.client("mallory") as mallory:
        for number in range(5):
            site.secrets[f"new{number}"] = new_secret()
            hashes[f"new{number}"] = site.secrets[f"new{number}"].hash
            await site.broker.set_devices(hashes)
            async with site.client(f"new{number}", subscribe=[f"{BASE}/new{number}/desired"]):
                pass
        # Several at once are one reload at most after the one that runs.
        await asyncio.gather(*(site.broker.set_devices(hashes) for _ in range(20)))
        assert mallory.lost is None
        # Another password for mallory: the old one, and its connection, are void.
        fresh = new_secret()
        await site.broker.set_devices({**hashes, "mallory": fresh.hash})
        await mallory.until(lambda: mallory.lost is not None)
        with pytest.raises(BrokerError):
            async with site.client("mallory"):
                pass
        async with site.client("mallory", fresh.password) as again:
            await site.broker.set_devices({name: hashes[name] for name in hashes if name != "mallory"})
            await again.until(lambda: again.lost is not None)
        await at.talk()
        assert at.victim.lost is None
        assert at.server.lost is None


async def test_a_broker_that_dies_comes_back_on_the_same_ports(site):
    async with site.client("victim") as victim:
        os.kill(site.broker.pid, signal.SIGKILL)
        await victim.until(lambda: victim.lost is not None)
    async with asyncio.timeout(60):
        while True:
            try:
                async with site.client("victim", subscribe=[f"{VICTIM}/desired"]):
                    break
            except BrokerError:
                await asyncio.sleep(0.05)
    assert site.broker.restarts == 1
