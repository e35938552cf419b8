# SPDX-License-Identifier: Apache-2.0
"""How an agent logs in to its broker: what enrolment gave it or what it was told, and the TLS context made from it.

The file `agent/login.json` of a device (0600) holds what enrolment gave: broker, user, password, the authority's
certificate. A private authority replaces the system's: nobody else's certificate passes for that broker's then.
"""

from __future__ import annotations

import json
import os
import ssl
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from agent.errors import MessageError, UsageError
from agent.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Login", "load_login", "read_password", "save_login", "tls_context"]

LOGIN_VERSION = 1


@dataclass(frozen=True)
class Login:
    """What a broker wants to see."""

    broker: str
    """mqtt(s)://HOST:PORT without user and password."""
    user: str | None = None
    password: str | None = None
    ca: str | None = None
    """PEM; None: the system's authorities."""

    def url(self) -> str:
        """Give the URL with user and password."""
        if self.user is None:
            return self.broker
        parts = urlsplit(self.broker)
        secret = f":{quote(self.password, safe='')}" if self.password is not None else ""
        return parts._replace(netloc=f"{quote(self.user, safe='')}{secret}@{parts.netloc.rpartition('@')[2]}").geturl()


def tls_context(
    ca: str | Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Make a client's context: `ca` is a file or the PEM itself, None the system's; our own certificate is optional.

    Raises:
        UsageError: a file cannot be read or holds something else.

    """
    if key is not None and certificate is None:
        raise UsageError("--tls-key: goes with --tls-cert")
    try:
        if ca is None:
            context = ssl.create_default_context()
        elif isinstance(ca, str):
            context = ssl.create_default_context(cadata=ca)
        else:
            context = ssl.create_default_context(cafile=str(ca))
    except (OSError, ssl.SSLError, ValueError) as error:
        raise UsageError(f"{'the CA' if isinstance(ca, str) else ca}: no certificate in PEM: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=lambda: b"")
        except (OSError, ssl.SSLError, ValueError) as error:
            files = f"{certificate}" + (f" and {key}" if key else "")
            raise UsageError(f"{files}: no certificate with its (unencrypted) key in PEM: {error}") from error
    return context


def read_password(path: Path) -> str:
    """Read a password's file, its newline left out. UsageError."""
    try:
        password = path.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from error
    if not password:
        raise UsageError(f"{path}: is empty")
    return password


def load_login(path: Path) -> Login | None:
    """Read what enrolment gave; None if there was none yet. MessageError: the file is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("version") != LOGIN_VERSION:
            raise ValueError("another version")  # noqa: TRY301
        return Login(**data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MessageError(f"{path}: is damaged ({error}); remove it and enrol again") from error


def save_login(path: Path, login: Login) -> None:
    """Write it; only this user can read it."""
    mask = os.umask(0o077)
    try:
        replace_file(path, json.dumps({"version": LOGIN_VERSION, **asdict(login)}, indent=1).encode())
    finally:
        os.umask(mask)
