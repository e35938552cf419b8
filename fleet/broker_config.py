# SPDX-License-Identifier: Apache-2.0
"""The configuration of the fleet's mosquitto as a pure function: listeners, limits, access.

Access. Every rule is a pattern on the user's name, which is the device's name: `wasel/1/TENANT/%u/...`. There is no
rule per device, so nothing has to be kept in step when devices come and go. A device reads `desired`, `chunk`, `cmd`
and writes `state`, `get`, `ack`, `log`, `met`, all of its own; below `app/` it does both.

Three things that mosquitto's rules alone do not stop, and what does:

- A client may take over another's session by its client id. `use_username_as_clientid` makes the id the user's name.
- mosquitto grants every subscription and checks the rules at delivery. A device that subscribed to the server's shared
  subscription would get nothing, but every message chosen for it would be lost for the server: of ten states five.
  The group's name is therefore a secret, made with the broker's folder; a group that nobody else is in takes nothing.
- Wills and retained messages: checked as publications when the client connects, and again (`check_retain_source`)
  when a retained one is delivered.

Why not the dynamic security plugin: in mosquitto 2.0.11 it writes its whole file anew at each change, has no pattern on
the user's name (a role per device), and keeps what a removed client had subscribed to (CVE-2021-34434).

Source: mosquitto.conf(5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.topics import TENANT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from fleet.pki import Pki

__all__ = ["DEVICE_READS", "DEVICE_WRITES", "BrokerSettings", "access_file", "configuration"]

DEVICE_READS = ("desired", "chunk", "cmd")
DEVICE_WRITES = ("state", "get", "ack", "log", "met")
DEVICE_BOTH = ("app/#",)


@dataclass(frozen=True)
class BrokerSettings:
    """What can be chosen; the maxima are limits of the broker, not wishes."""

    host: str = "127.0.0.1"
    """Address that devices connect to."""
    port: int = 8883
    """0: one that is free."""
    names: tuple[str, ...] = ()
    """Further names and addresses in its certificate."""
    tenant: str = TENANT
    max_devices: int = 12_000
    """Connections at once."""
    max_packet_bytes: int = 512 * 1024
    """Of one MQTT packet, both ways; larger ones end the connection."""
    max_inflight: int = 1000
    """QoS 1 messages under way to one client."""
    max_queued: int = 100_000
    """Messages waiting for one client; what comes on top is dropped. All devices reporting at once have to fit."""
    max_queued_bytes: int = 64 << 20
    """The same in bytes."""
    memory_bytes: int = 1 << 30
    """Of the broker's own heap: beyond that it refuses clients and messages."""
    max_keepalive_s: int = 300
    session_days: int = 1
    """A session of an absent client is kept so long."""


def configuration(
    settings: BrokerSettings, folder: Path, pki: Pki, *, port: int, server_port: int, user: str | None
) -> str:
    """Make mosquitto.conf; `user` is whom a broker started by root runs as, None: as whoever starts it."""
    lines = [
        "# made by wasel fleet serve; changes are lost",
        "per_listener_settings false",
        "allow_anonymous false",
        f"password_file {folder}/passwords",
        f"acl_file {folder}/access",
        f"max_packet_size {settings.max_packet_bytes}",
        f"message_size_limit {settings.max_packet_bytes}",
        f"max_inflight_messages {settings.max_inflight}",
        f"max_inflight_bytes {settings.max_queued_bytes}",
        f"max_queued_messages {settings.max_queued}",
        f"max_queued_bytes {settings.max_queued_bytes}",
        f"memory_limit {settings.memory_bytes}",
        f"max_keepalive {settings.max_keepalive_s}",
        f"persistent_client_expiration {settings.session_days}d",
        "queue_qos0_messages false",
        "check_retain_source true",
        "set_tcp_nodelay true",
        "sys_interval 0",
        "connection_messages false",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        # Retained states survive an orderly restart; after a crash everybody publishes anew.
        "persistence true",
        f"persistence_location {folder}/",
        "persistence_file retained.db",
        "autosave_interval 60",
        *([f"user {user}"] if user else []),
        "",
        f"listener {port} {settings.host}",
        "use_username_as_clientid true",
        f"max_connections {settings.max_devices}",
        "max_qos 1",
        "max_topic_alias 0",
        f"cafile {pki.ca}",
        f"certfile {pki.certificate}",
        f"keyfile {pki.key}",
        "tls_version tlsv1.2",
        "",
        # The server's own: this machine only, without TLS; the same passwords and rules.
        f"listener {server_port} 127.0.0.1",
        "use_username_as_clientid true",
        f"max_connections {settings.max_devices}",
        "max_qos 1",
        "max_topic_alias 0",
        "",
    ]
    return "\n".join(lines)


def access_file(tenant: str, servers: Iterable[str]) -> str:
    """Make mosquitto's ACL file; `servers` are the names of our own logins."""
    own = f"wasel/1/{tenant}/%u"
    every = f"wasel/1/{tenant}/+"
    lines = [
        *(f"pattern read {own}/{leaf}" for leaf in DEVICE_READS),
        *(f"pattern write {own}/{leaf}" for leaf in DEVICE_WRITES),
        *(f"pattern readwrite {own}/{leaf}" for leaf in DEVICE_BOTH),
    ]
    for name in servers:
        lines += [
            f"user {name}",
            *(f"topic readwrite {every}/{leaf}" for leaf in DEVICE_READS),
            *(f"topic read {every}/{leaf}" for leaf in DEVICE_WRITES),
            *(f"topic readwrite {every}/{leaf}" for leaf in DEVICE_BOTH),
        ]
    return "\n".join([*lines, ""])
