# SPDX-License-Identifier: Apache-2.0
"""Asks a fleet server for a device's login over HTTP(S) and keeps what it gives.

Contract: `enroll` returns when the server gave a login (and it is on disk) or raises: `UsageError` for what the caller
has to change, `EnrollError` for a server that answers nonsense, `BrokerError` for one that is not there. While an
operator has not accepted the serial number yet, it asks again as slowly as the server says.

Trust: plain http:// only to this machine. https:// is verified with `--ca`, with the authority whose fingerprint the
claim token carries (fetched from the server and compared), or with the system's authorities.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agent.enroll import Enrolled, EnrollError, make_request, split_claim
from agent.errors import BrokerError, UsageError
from agent.keys import create_key_files, load_private_key
from agent.login import Login, save_login, tls_context
from agent.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Enrolment", "enroll"]

ANSWER_TIMEOUT_S = 30.0
MAX_ANSWER = 65536  # bytes
RETRY_S = (1, 600)
"""Least and most time between two questions, whatever the server says."""
PATH = "/api/v1/enroll"
CA_PATH = "/api/v1/ca.pem"


@dataclass(frozen=True)
class Enrolment:
    """What `wasel agent --enroll` was asked for."""

    server: str
    """URL of the fleet server."""
    device: str
    claim: str | None = None
    serial: str | None = None
    ca: Path | None = None


class _Pending(Exception):  # noqa: N818 - not an error: an operator has to look
    def __init__(self, retry_s: float) -> None:
        super().__init__()
        self.retry_s = retry_s


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _fetch(url: str, body: bytes | None, context: ssl.SSLContext | None) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/json"} if body is not None else {}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - the scheme was checked
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
    )
    try:
        with opener.open(request, timeout=ANSWER_TIMEOUT_S) as answer:
            return answer.status, answer.read(MAX_ANSWER + 1)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(MAX_ANSWER + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise BrokerError(f"fleet server {url}: {reason}; is it running, and is the address right?") from error


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A login goes to the server that was named and to no other."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _context(enrolment: Enrolment, server: str) -> ssl.SSLContext | None:
    parts = urlsplit(server)
    if parts.scheme == "http" and parts.hostname and _loopback(parts.hostname):
        return None
    if parts.scheme != "https" or not parts.hostname:
        raise UsageError(f"--enroll {server}: write https://HOST[:PORT]; http:// is for this machine only")
    if enrolment.ca is not None:
        return tls_context(enrolment.ca)
    pin = split_claim(enrolment.claim)[1] if enrolment.claim else None
    return tls_context(_pinned_ca(server, pin)) if pin else tls_context()


def _pinned_ca(server: str, pin: str) -> str:
    """Fetch the authority from a server that nobody vouches for yet, and take it only with the right fingerprint."""
    blind = ssl.create_default_context()
    blind.check_hostname, blind.verify_mode = False, ssl.CERT_NONE  # what comes is public, and compared
    status, body = _fetch(server + CA_PATH, None, blind)
    text = body.decode("ascii", "replace")
    if status != HTTPStatus.OK:
        raise UsageError(f"{server}: gives no CA ({status}); name its file with --ca")
    _check_pin(text, pin)
    return text


def _check_pin(pem: str, pin: str) -> None:
    try:
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.strip())).hexdigest()
    except ValueError as error:
        raise EnrollError(f"enrolment: the server's CA is no certificate in PEM: {error}") from error
    if found != pin:
        raise UsageError("enrolment: the server's CA is not the one that the claim token was made for: wrong server?")


def _ask(enrolment: Enrolment, key_path: Path) -> Enrolled:
    server = enrolment.server.rstrip("/")
    context = _context(enrolment, server)
    key = load_private_key(key_path)
    fields = make_request(
        key,
        device=enrolment.device,
        serial=enrolment.serial,
        claim=enrolment.claim,
        now_s=int(time.time()),
        nonce=os.urandom(16),
    )
    status, body = _fetch(server + PATH, json.dumps(fields).encode(), context)
    if len(body) > MAX_ANSWER:
        raise EnrollError(f"enrolment: {server} answers more than {MAX_ANSWER} bytes")
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status == HTTPStatus.OK:
        return Enrolled.parse(answer)
    fields = answer if isinstance(answer, dict) else {}
    if status in (HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS):
        wanted = fields.get("retry_s", 10)
        raise _Pending(min(max(float(wanted) if isinstance(wanted, int | float) else 10.0, RETRY_S[0]), RETRY_S[1]))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise BrokerError(f"fleet server {server}: error {status}; see its log")
    detail = printable(str(fields.get("detail") or fields.get("error") or "it does not say why"))[:500]
    raise UsageError(f"fleet server {server}: refuses to enrol {enrolment.device}: {detail}")


async def enroll(enrolment: Enrolment, folder: Path, note: Callable[[str], None]) -> Login:
    """Get a login for the device; `folder` is the agent's own, where key and login are kept.

    Raises:
        UsageError, EnrollError, BrokerError.

    """
    key_path = folder / "device.key"
    await asyncio.to_thread(create_key_files, key_path, keep=True)
    while True:
        try:
            answer = await asyncio.to_thread(_ask, enrolment, key_path)
        except _Pending as pending:
            note(f"{enrolment.server}: {enrolment.device} waits to be accepted; asked again in {pending.retry_s:g} s")
            await asyncio.sleep(pending.retry_s)
            continue
        if answer.device != enrolment.device:
            raise UsageError(
                f"fleet server {enrolment.server}: this device is {answer.device!r} there: use --device {answer.device}"
            )
        pin = split_claim(enrolment.claim)[1] if enrolment.claim else None
        if pin is not None and answer.ca is not None:
            _check_pin(answer.ca, pin)
        login = Login(answer.broker, answer.username, answer.password, answer.ca)
        await asyncio.to_thread(save_login, folder / "login.json", login)
        note(f"enrolled as {answer.device} at {enrolment.server}; broker {answer.broker}")
        return login
