# SPDX-License-Identifier: Apache-2.0
"""Webhooks: events as signed JSON to other programs, tried again a bounded number of times, in bounded number.

Each POST has the headers `Wasel-Delivery` (number), `Wasel-Timestamp` (seconds) and `Wasel-Signature`: `v1=` and the
HMAC-SHA-256, in hexadecimal, with the webhook's secret over `TIMESTAMP.BODY`. A receiver checks it, and that the time
is near; the number tells doubles apart. Any 2xx is an acceptance; redirects are not followed. A webhook whose
deliveries fail OFF_AFTER times in a row is switched off, and an event says so.

Whom the server may be sent to is an admin's decision: only admins add webhooks.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import delete, func, select, update

from fleet import audit, journal
from fleet.access import Role
from fleet.clock import now_ms
from fleet.errors import InvalidError, LimitError, NotFoundError
from fleet.models import Delivery, Webhook

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from fleet.access import Principal
    from fleet.database import Database

__all__ = ["Deliverer", "add", "enable", "list_webhooks", "remove", "signature"]

MAX_WEBHOOKS = 50
MAX_KINDS = 50
MAX_ATTEMPTS = 8
OFF_AFTER = 50
RETRY_MS = 5_000
"""After the first failure; twice as long after each further one."""
MAX_WAITING = 10_000
"""Deliveries kept; the oldest above it are dropped."""
BATCH = 50
AT_ONCE = 8
TIMEOUT_S = 10.0
POLL_S = 1.0
KEEP_MS = 86_400_000


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Sign a body."""
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def add(session: Session, principal: Principal, url: str, kinds: list[str]) -> Webhook:
    """Add a webhook; its secret is in the row and is shown once."""
    principal.must(Role.ADMIN)
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(url) > 2000 or not url.isprintable():  # noqa: PLR2004 - the column's length
        raise InvalidError(f"webhook {url!r:.100}: an http or https address is needed")
    if len(kinds) > MAX_KINDS or not all(kind and len(kind) <= 64 for kind in kinds):  # noqa: PLR2004 - as above
        raise InvalidError(f"webhook: at most {MAX_KINDS} kinds of 1 to 64 characters")
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MAX_WEBHOOKS:
        raise LimitError(f"there are {MAX_WEBHOOKS} webhooks already")
    hook = Webhook(
        url=url, kinds=kinds, secret=secrets.token_urlsafe(32), created_by=principal.name, created_ms=now_ms()
    )
    session.add(hook)
    session.flush()
    audit.append(session, principal, "webhook.add", str(hook.id), {"url": url, "kinds": kinds})
    return hook


def find(session: Session, number: int) -> Webhook:
    """Give a webhook. NotFoundError."""
    hook = session.get(Webhook, number)
    if hook is None:
        raise NotFoundError(f"webhook {number}: there is none")
    return hook


def enable(session: Session, principal: Principal, number: int) -> Webhook:
    """Try a webhook again."""
    principal.must(Role.ADMIN)
    hook = find(session, number)
    hook.enabled, hook.failures = True, 0
    audit.append(session, principal, "webhook.enable", str(number), {})
    return hook


def remove(session: Session, principal: Principal, number: int) -> None:
    """Remove a webhook with what waits for it."""
    principal.must(Role.ADMIN)
    hook = find(session, number)
    session.execute(delete(Delivery).where(Delivery.webhook_id == number))
    session.delete(hook)
    audit.append(session, principal, "webhook.remove", str(number), {"url": hook.url})


def list_webhooks(session: Session) -> list[dict[str, Any]]:
    """List webhooks with how they do."""
    waiting = dict(
        session.execute(
            select(Delivery.webhook_id, func.count()).where(Delivery.state == "waiting").group_by(Delivery.webhook_id)
        ).all()
    )
    last = {
        row.webhook_id: row.answer
        for row in session.scalars(select(Delivery).where(Delivery.answer != "").order_by(Delivery.id))
    }
    names = ("id", "url", "kinds", "enabled", "failures", "created_by", "created_ms")
    return [
        {name: getattr(hook, name) for name in names}
        | {"waiting": waiting.get(hook.id, 0), "answer": last.get(hook.id, "")}
        for hook in session.scalars(select(Webhook).order_by(Webhook.id))
    ]


class Deliverer:
    """The task of the leader."""

    def __init__(self, database: Database, client: httpx.AsyncClient | None = None) -> None:
        self._database = database
        self._client = client
        self.delivered = 0
        self.failed = 0

    async def run(self) -> None:
        """Deliver for ever."""
        async with contextlib.AsyncExitStack() as stack:
            client = self._client
            if client is None:
                client = await stack.enter_async_context(
                    httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
                )
            while True:
                if not await self.deliver(client):
                    await asyncio.sleep(POLL_S)

    async def deliver(self, client: httpx.AsyncClient) -> bool:
        """Deliver what is due, some at a time; False if nothing was."""
        due = await asyncio.to_thread(self._due)
        slots = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, url: str, secret: str, body: dict[str, Any]) -> tuple[int, str, bool]:
            async with slots:
                answer, good = await _post(client, number, url, secret, body)
                return number, answer, good

        answers = await asyncio.gather(*(one(*item) for item in due))
        if answers:
            await asyncio.to_thread(self._note, answers)
        return bool(answers)

    def _due(self) -> list[tuple[int, str, str, dict[str, Any]]]:
        query = (
            select(Delivery, Webhook)
            .join(Webhook, Webhook.id == Delivery.webhook_id)
            .where(Delivery.state == "waiting", Delivery.next_ms <= now_ms(), Webhook.enabled)
            .order_by(Delivery.id)
            .limit(BATCH)
        )
        with self._database.read() as session:
            return [(row.id, hook.url, hook.secret, row.body) for row, hook in session.execute(query)]

    def _note(self, answers: list[tuple[int, str, bool]]) -> None:
        now = now_ms()
        with self._database.write() as session:
            for number, answer, good in answers:
                row = session.get(Delivery, number)
                hook = session.get(Webhook, row.webhook_id) if row else None
                if row is None or hook is None:
                    continue
                row.attempts += 1
                row.answer = answer[:200]
                if good:
                    self.delivered += 1
                    row.state, hook.failures = "delivered", 0
                    continue
                self.failed += 1
                hook.failures += 1
                row.state = "dropped" if row.attempts >= MAX_ATTEMPTS else "waiting"
                row.next_ms = now + (RETRY_MS << min(row.attempts - 1, 16))
                if hook.failures >= OFF_AFTER and hook.enabled:
                    hook.enabled = False
                    text = f"webhook {hook.id} failed {hook.failures} times in a row and is off: {answer}"
                    journal.add_event(session, "webhook.disabled", text, "error", webhook=hook.id)
            self._prune(session, now)

    @staticmethod
    def _prune(session: Session, now: int) -> None:
        newest = session.scalar(select(func.max(Delivery.id))) or 0
        session.execute(
            delete(Delivery).where((Delivery.state != "waiting") & (Delivery.created_ms < now - KEEP_MS)),
            execution_options={"synchronize_session": False},
        )
        session.execute(
            update(Delivery)
            .where(Delivery.state == "waiting", Delivery.id <= newest - MAX_WAITING)
            .values(state="dropped", answer="too many waited"),
            execution_options={"synchronize_session": False},
        )


async def _post(
    client: httpx.AsyncClient, number: int, url: str, secret: str, body: dict[str, Any]
) -> tuple[str, bool]:
    """Send one; gives what came of it in a few words, and whether it was accepted."""
    data = json.dumps(body, sort_keys=True).encode()
    timestamp = now_ms() // 1000
    headers = {
        "Content-Type": "application/json",
        "Wasel-Delivery": str(number),
        "Wasel-Timestamp": str(timestamp),
        "Wasel-Signature": signature(secret, timestamp, data),
    }
    try:
        async with asyncio.timeout(TIMEOUT_S), client.stream("POST", url, content=data, headers=headers) as answer:
            return f"HTTP {answer.status_code}", answer.is_success  # what it says more is of no interest
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        return f"{type(error).__name__}: {error}", False
