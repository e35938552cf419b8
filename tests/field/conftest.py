# SPDX-License-Identifier: Apache-2.0
"""A fleet broker of our own with two devices, and clients that write down what they get."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from fleet.broker import BrokerSettings, running_broker
from fleet.broker_credentials import new_secret
from fleet.mqtt_connection import MqttConnection
from fleet.mqtt_packets import Connect

WAIT_S = 60


class Client:
    """A connection that remembers every message."""

    def __init__(self):
        self.got = []
        self.lost = None
        self.news = asyncio.Event()
        self.mqtt = None

    def publish(self, packet):
        self.got.append((packet.topic, packet.body))
        self.news.set()

    def hung_up(self, reason):
        self.lost = reason
        self.news.set()

    async def until(self, good):
        async with asyncio.timeout(WAIT_S):
            while not good():
                self.news.clear()
                if not good():
                    await self.news.wait()

    async def send(self, topic, body, *, retain=False):
        """Publish with QoS 1 and give the reason code, None if the broker hung up."""
        done = asyncio.get_running_loop().create_future()
        self.mqtt.publish(topic.encode(), body, qos=1, retain=retain, acked=done.set_result)
        lost = asyncio.ensure_future(self.until(lambda: self.lost is not None))
        await asyncio.wait({done, lost}, return_when=asyncio.FIRST_COMPLETED, timeout=WAIT_S)
        lost.cancel()
        return done.result() if done.done() else None


class Site:
    """A broker with devices 'victim' and 'mallory'."""

    def __init__(self, broker, secrets):
        self.broker = broker
        self.secrets = secrets

    def tls(self):
        return ssl.create_default_context(cafile=str(self.broker.ca))

    @asynccontextmanager
    async def client(self, user, password=None, *, tls=True, subscribe=(), on_publish=None, **options):
        if password is None:
            password = self.broker.logins.get(user) or self.secrets[user].password
        client = Client()
        connect = Connect(options.pop("client_id", ""), user, password, **options)
        port = self.broker.port if tls else self.broker.server_port
        client.mqtt = await MqttConnection.open(
            "127.0.0.1", port, connect, on_publish or client.publish, client.hung_up, tls=self.tls() if tls else None
        )
        try:
            if subscribe:
                await client.mqtt.subscribe([(topic, 1) for topic in subscribe])
            yield client
        finally:
            client.mqtt.close()


@pytest_asyncio.fixture
async def site(tmp_path):
    if shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin") is None:
        pytest.skip("mosquitto is not installed")
    secrets = {name: new_secret() for name in ("victim", "mallory")}
    hashes = {name: secret.hash for name, secret in secrets.items()}
    async with running_broker(tmp_path / "broker", BrokerSettings(port=0), hashes) as broker:
        yield Site(broker, secrets)
