# SPDX-License-Identifier: Apache-2.0
"""The mosquitto that `wasel fleet serve` starts unless it is given a broker: TLS, a login per device, every limit set.

    folder/pki/          certificate authority and certificate (fleet.pki)
    folder/logins.json   passwords of the server's own logins and the name of its share group, 0600
    folder/passwords, access, mosquitto.conf, mosquitto.log, retained.db

Contract: `async with running_broker(folder, settings) as broker` gives a broker that lets its devices in and nobody
else. `broker.set_devices` returns when the broker knows exactly these; connections of clients that stay are not
touched, those of clients that went are closed. A broker that ends by itself is started again on the same ports. It is
gone when the block ends, and killed with the server if that is killed.

How the broker is known to have read its files again: each version of the password file has a probe login of its own,
which is tried until it is let in.

Does NOT: keep what devices may log in (the server's database does), bridge or cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import secrets
import signal
import socket
import struct
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from agent.errors import BrokerError
from agent.files import replace_file
from fleet.broker_config import BrokerSettings, access_file, configuration
from fleet.broker_credentials import Secret, hash_secret, new_secret, password_file
from fleet.pki import Pki, ensure_pki
from qemu.bound import bound, end_process
from qemu.broker import find_mosquitto

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

__all__ = ["MAX_WORKERS", "BrokerSettings", "FleetBroker", "running_broker"]

MAX_WORKERS = 16
"""Server processes that may be connected at once, each with a login of its own."""
START_TIMEOUT_S = 30.0
RELOAD_TIMEOUT_S = 60.0
RESTART_S = (0.1, 5.0)
POLL_S = 0.02


@dataclass
class FleetBroker:
    """A running broker; made by `running_broker`."""

    folder: Path
    settings: BrokerSettings
    pki: Pki
    port: int
    server_port: int
    share_group: str
    """Of the server's shared subscriptions; whoever knows it can take messages away from the server."""
    logins: dict[str, str]
    """Names and passwords of the server's own logins."""
    restarts: int = 0
    """How often it ended by itself."""
    _hashes: dict[str, str] = field(default_factory=dict)
    _devices: dict[str, str] = field(default_factory=dict)
    _probe: Secret = field(default_factory=new_secret)
    _probe_number: int = 0
    _process: asyncio.subprocess.Process | None = None
    _reload: asyncio.Lock = field(default_factory=asyncio.Lock)
    _wanted: int = 0
    _written: int = 0

    @property
    def url(self) -> str:
        """For devices: add user and password."""
        return f"mqtts://{self.settings.host}:{self.port}"

    @property
    def devices(self) -> dict[str, str]:
        """Who is let in, as `set_devices` was told last."""
        return dict(self._devices)

    @property
    def ca(self) -> Path:
        """Certificate that devices trust."""
        return self.pki.ca

    def server_url(self, worker: int = 0) -> str:
        """For worker number `worker` of the server, on this machine; two workers must not share one."""
        name = f"_server.{worker}"
        return f"mqtt://{quote(name)}:{quote(self.logins[name])}@127.0.0.1:{self.server_port}"

    def device_url(self, name: str, password: str, *, tls: bool = True) -> str:
        """Give the URL with a device's login; without TLS only on this machine."""
        where = f"mqtts://{{}}@{self.settings.host}:{self.port}" if tls else f"mqtt://{{}}@127.0.0.1:{self.server_port}"
        return where.format(f"{quote(name)}:{quote(password)}")

    @property
    def pid(self) -> int | None:
        """Process number, None while it is down."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def set_devices(self, devices: Mapping[str, str]) -> None:
        """Let in exactly these devices: name to hash (broker_credentials). Calls that come together reload once.

        Raises:
            BrokerError: the broker did not read them in time.

        """
        self._devices = dict(devices)
        self._wanted += 1
        wanted = self._wanted
        async with self._reload:
            if self._written >= wanted:
                return  # somebody who held the lock before us wrote ours, too
            self._written = self._wanted
            await asyncio.to_thread(self._write_passwords)
            if self._process is not None and self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGHUP)
            await self._until_probed(RELOAD_TIMEOUT_S)

    def _write_passwords(self) -> None:
        self._probe_number += 1
        self._probe = new_secret()
        servers = {**self._hashes, f"_probe.{self._probe_number}": self._probe.hash}
        _write_private(self.folder / "passwords", password_file(self._devices, servers))

    async def _until_probed(self, timeout_s: float) -> None:
        """Wait until the newest probe login is let in."""
        name, password = f"_probe.{self._probe_number}", self._probe.password
        try:
            async with asyncio.timeout(timeout_s):
                while not await _let_in(self.server_port, name, password):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise BrokerError(f"the broker does not answer within {timeout_s:g} s: {self._last_words()}") from None

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = (self.folder / "mosquitto.log").read_text(encoding="utf-8", errors="replace").splitlines()
            return lines[-1] if lines else "it says nothing"
        return "it has no log"

    async def _start(self) -> None:
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *bound([find_mosquitto(), "-c", str(self.folder / "mosquitto.conf")]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at our terminal is not the broker's
            )

    async def _watch(self) -> None:
        """Start it again whenever it ends by itself."""
        wait_s = RESTART_S[0]
        loop = asyncio.get_running_loop()
        while self._process is not None:
            began_s = loop.time()
            code = await self._process.wait()
            self.restarts += 1
            print(
                f"wasel fleet: the broker ended with {code}: {self._last_words()}; it is started again", file=sys.stderr
            )
            wait_s = RESTART_S[0] if loop.time() - began_s > RESTART_S[1] else min(wait_s * 2, RESTART_S[1])
            await asyncio.sleep(wait_s)
            await self._start()

    async def _stop(self) -> None:
        if self._process is not None:
            await end_process(self._process)


def _write_private(path: Path, data: bytes) -> None:
    mask = os.umask(0o077)
    try:
        replace_file(path, data)
    finally:
        os.umask(mask)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def _load_logins(path: Path) -> tuple[str, dict[str, str]]:
    """Give share group and logins of the server, made at first use."""
    names = [f"_server.{number}" for number in range(MAX_WORKERS)]
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        data = json.loads(path.read_text(encoding="utf-8"))
        group, logins = str(data["share_group"]), {name: str(data["logins"][name]) for name in names}
        return group, logins
    group, logins = f"server-{secrets.token_hex(16)}", {name: new_secret().password for name in names}
    _write_private(path, json.dumps({"share_group": group, "logins": logins}, indent=1).encode())
    return group, logins


async def _let_in(port: int, user: str, password: str) -> bool:
    """Log in and out again, with the least that MQTT 5 needs (sections 3.1, 3.2)."""

    def text(value: str) -> bytes:
        return struct.pack("!H", len(value)) + value.encode()

    body = text("MQTT") + b"\x05\xc2" + struct.pack("!H", 10) + b"\0" + text("") + text(user) + text(password)
    if len(body) > 127:  # noqa: PLR2004 - one byte of remaining length
        raise ValueError("the probe's login is too long")
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(bytes([0x10, len(body)]) + body)
        async with asyncio.timeout(START_TIMEOUT_S):
            answer = await reader.readexactly(4)
        writer.write(b"\xe0\x00")
        await writer.drain()
        return answer[0] == 0x20 and answer[3] == 0  # noqa: PLR2004 - CONNACK, success
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def running_broker(
    folder: Path, settings: BrokerSettings | None = None, devices: Mapping[str, str] | None = None
) -> AsyncIterator[FleetBroker]:
    """Run the broker for the time of the block, letting in `devices` from the start.

    Raises:
        MissingToolError: mosquitto is not installed.
        UsageError: the certificates in the folder are damaged.
        BrokerError: it does not start; the text has its last words.

    """
    find_mosquitto()
    settings = settings or BrokerSettings()
    folder = folder.absolute()  # noqa: ASYNC240 - once, at the start, as what follows
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = tuple(dict.fromkeys(("localhost", "127.0.0.1", settings.host, *settings.names)))
    pki = ensure_pki(folder / "pki", [name for name in names if name not in {"0.0.0.0", "::"}])  # noqa: S104
    group, logins = _load_logins(folder / "logins.json")
    port = settings.port or _free_port(settings.host)
    broker = FleetBroker(folder, settings, pki, port, _free_port("127.0.0.1"), group, logins)
    broker._hashes = {name: hash_secret(password) for name, password in logins.items()}  # noqa: SLF001
    broker._devices = dict(devices or {})  # noqa: SLF001
    user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else None
    text = configuration(settings, folder, pki, port=port, server_port=broker.server_port, user=user)
    _write_private(folder / "mosquitto.conf", text.encode())
    _write_private(folder / "access", access_file(settings.tenant, logins).encode())
    (folder / "mosquitto.log").write_bytes(b"")
    broker._write_passwords()  # noqa: SLF001
    watch: asyncio.Task[None] | None = None
    try:
        await broker._start()  # noqa: SLF001
        await broker._until_probed(START_TIMEOUT_S)  # noqa: SLF001
        watch = asyncio.create_task(broker._watch())  # noqa: SLF001
        yield broker
    finally:
        if watch is not None:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        await broker._stop()  # noqa: SLF001
