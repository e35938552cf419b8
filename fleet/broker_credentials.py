# SPDX-License-Identifier: Apache-2.0
"""Who may connect to the fleet's broker: secrets, and mosquitto's password file made from their hashes.

A secret is 256 random bits, so its hash needs no stretching: one round of PBKDF2-HMAC-SHA512 is as hard to turn round
as a thousand, and the broker, which hashes for every client when it reads the file again, stays responsive with 10,000.
Passwords that people choose do not belong here.

Contract: pure but for the randomness. The password itself goes to the device once and is kept nowhere.
Source: mosquitto_passwd(1); the line's form `user:$7$rounds$base64(salt)$base64(hash)` as mosquitto 2.0 writes it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.registry import check_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Secret", "hash_secret", "new_secret", "password_file", "verifies"]

ROUNDS = 1
SALT_SIZE = 12  # bytes; mosquitto 2.0 takes no other
HASH_SIZE = 64  # bytes
SECRET_SIZE = 32  # bytes
_LINE = re.compile(r"\$7\$1\$[A-Za-z0-9+/]{16}\$[A-Za-z0-9+/]{86}==")
_SERVER = re.compile(r"_[a-z]+\.[0-9]+")


@dataclass(frozen=True)
class Secret:
    """A password and what is kept of it."""

    password: str
    hash: str


def _hash(password: str, salt: bytes) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ROUNDS, HASH_SIZE)
    return f"$7${ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def new_secret() -> Secret:
    """Make a password that nobody guesses."""
    password = secrets.token_urlsafe(SECRET_SIZE)
    return Secret(password, hash_secret(password))


def hash_secret(password: str) -> str:
    """Hash a password of `new_secret` again, with another salt."""
    return _hash(password, secrets.token_bytes(SALT_SIZE))


def verifies(password: str, hashed: str) -> bool:
    """Tell whether a password is the hashed one."""
    if not _LINE.fullmatch(hashed):
        return False
    return hmac.compare_digest(_hash(password, base64.b64decode(hashed.split("$")[3])), hashed)


def password_file(devices: Mapping[str, str], servers: Mapping[str, str]) -> bytes:
    """Make mosquitto's password file: device names and our own logins (which no device can be called) to hashes.

    Raises:
        UsageError: a name that no device may have.
        ValueError: something that is no hash of `new_secret`.

    """
    for name in servers:
        if not _SERVER.fullmatch(name):
            raise ValueError(f"{name!r} could be a device's name")
    for name in devices:
        check_name(name)
    entries = {**servers, **devices}
    for name, hashed in entries.items():
        if not _LINE.fullmatch(hashed):
            raise ValueError(f"the hash of {name} is none")
    return "".join(f"{name}:{hashed}\n" for name, hashed in entries.items()).encode()
