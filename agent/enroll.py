# SPDX-License-Identifier: Apache-2.0
r"""Enrolment, pure: what an agent sends a fleet server to get its device's login, and what comes back.

An agent makes an Ed25519 key for its device once. It asks with a claim token, or with the device's serial number that
an operator accepts, and signs the request with that key; afterwards the key alone renews the login. The signature is
over `b"wasel-enroll-1\0"` and the canonical JSON of all other fields (keys in order, no spaces, ASCII).

Contract: `make_request` and `check_request` are each other's inverse; `check_request` takes JSON from anybody and gives
a request whose key signed it, at most `CLOCK_S` ago or ahead, or raises `EnrollError` (the peer's fault). Whether that
key may have that device is the server's decision, as is remembering nonces for `2 * CLOCK_S`.
Does NOT: send anything (agent.enroll_client).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from agent.errors import MessageError, UsageError
from agent.keys import KEY_SIZE, PublicKey
from agent.registry import check_name

if TYPE_CHECKING:
    from agent.keys import PrivateKey

__all__ = ["CLOCK_S", "EnrollError", "EnrollRequest", "Enrolled", "check_request", "make_request", "split_claim"]

ENROLL_VERSION = 1
PREFIX = b"wasel-enroll-1\0"
CLOCK_S = 300
"""Seconds that the clocks of agent and server may differ."""
NONCE_SIZE = 16  # bytes
SIGNATURE_SIZE = 64  # bytes
MAX_TEXT = 256  # characters of serial, claim, user, password
MAX_PEM = 16384  # characters
FIELDS = {"v", "device", "serial", "claim", "key", "time", "nonce", "signature"}
_PINNED = re.compile(r"(?P<secret>.+)\.(?P<pin>[0-9a-f]{64})")


class EnrollError(MessageError):
    """A request or an answer of enrolment is not what it should be."""


@dataclass(frozen=True)
class EnrollRequest:
    """A request whose signature was verified."""

    key: PublicKey
    device: str | None
    """The name that it would like."""
    serial: str | None
    claim: str | None
    time_s: int
    """The agent's clock, seconds since the epoch."""
    nonce: bytes


@dataclass(frozen=True)
class Enrolled:
    """The server's answer."""

    device: str
    tenant: str
    broker: str
    username: str
    password: str
    ca: str | None
    """Certificate of the broker's authority, PEM."""

    @classmethod
    def parse(cls, body: Any) -> Self:
        """Check an answer. EnrollError."""
        if not isinstance(body, dict) or body.get("v") != ENROLL_VERSION:
            raise EnrollError(f"enrolment: the server does not answer version {ENROLL_VERSION}: update the older one")
        try:
            device, tenant = check_name(str(body["device"])), check_name(str(body["tenant"]))
        except (KeyError, UsageError) as error:
            raise EnrollError(f"enrolment: the answer has no good device or tenant: {error}") from error
        texts = {name: _text(body, name, MAX_TEXT) for name in ("broker", "username", "password")}
        for name, value in texts.items():
            if value is None:
                raise EnrollError(f"enrolment: the answer has no {name}")
        return cls(
            device,
            tenant,
            texts["broker"] or "",
            texts["username"] or "",
            texts["password"] or "",
            _text(body, "ca", MAX_PEM),
        )


def split_claim(claim: str) -> tuple[str, str | None]:
    """Take a claim token apart: all of it, and the fingerprint of the authority to trust if it ends with one."""
    match = _PINNED.fullmatch(claim)
    return claim, match["pin"] if match else None


def _text(body: dict[str, Any], name: str, limit: int) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.replace("\n", " ").isprintable():
        raise EnrollError(f"enrolment: {name} is not a text of 1 to {limit} characters")
    return value


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def _binary(body: dict[str, Any], name: str, size: int) -> bytes:
    value = body.get(name)
    try:
        data = base64.b64decode(value, altchars=b"-_", validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size:
        raise EnrollError(f"enrolment: {name} is not {size} bytes in base64url")
    return data


def _signed(fields: dict[str, Any]) -> bytes:
    return PREFIX + json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def make_request(
    key: PrivateKey, *, device: str | None, serial: str | None, claim: str | None, now_s: int, nonce: bytes
) -> dict[str, Any]:
    """Make the JSON of a request."""
    fields = {
        "v": ENROLL_VERSION,
        "device": device,
        "serial": serial,
        "claim": claim,
        "key": _encode(key.public.raw),
        "time": now_s,
        "nonce": _encode(nonce),
    }
    return {**fields, "signature": _encode(key.sign(_signed(fields)))}


def check_request(body: Any, now_s: float) -> EnrollRequest:
    """Check shape, signature and clock of a request. EnrollError."""
    if not isinstance(body, dict) or set(body) != FIELDS:
        raise EnrollError(f"enrolment: not exactly the keys {', '.join(sorted(FIELDS))}")
    if body["v"] != ENROLL_VERSION or isinstance(body["v"], bool):
        raise EnrollError(f"enrolment: version {body['v']!r:.20}, this server knows {ENROLL_VERSION}")
    device = _text(body, "device", MAX_TEXT)
    if device is not None:
        try:
            check_name(device)
        except UsageError as error:
            raise EnrollError(f"enrolment: {error}") from error
    key, nonce = PublicKey(_binary(body, "key", KEY_SIZE)), _binary(body, "nonce", NONCE_SIZE)
    signature = _binary(body, "signature", SIGNATURE_SIZE)
    time_s = body["time"]
    if type(time_s) is not int:
        raise EnrollError("enrolment: time is no whole number of seconds")
    serial, claim = _text(body, "serial", MAX_TEXT), _text(body, "claim", MAX_TEXT)
    if not key.verifies(signature, _signed({name: value for name, value in body.items() if name != "signature"})):
        raise EnrollError("enrolment: the request is not signed by its key")
    if abs(now_s - time_s) > CLOCK_S:
        raise EnrollError(
            f"enrolment: the agent's clock is {time_s - now_s:+.0f} s off, {CLOCK_S} s are allowed: set it"
        )
    return EnrollRequest(key, device, serial, claim, time_s, nonce)
