# SPDX-License-Identifier: Apache-2.0
"""Webhooks: signed, tried again a bounded number of times, switched off when they fail for long."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from sqlalchemy import func, select, update

from fleet import journal, webhooks
from fleet.access import Role
from fleet.models import Delivery, Webhook


def happen(fleet, kind="rollout.paused", count=1):
    with fleet.database.write() as session:
        for number in range(count):
            journal.add_event(session, kind, f"event {number}")


def deliver(fleet, answer):
    """Deliver what is due now; gives the requests."""
    seen = []

    def handle(request):
        seen.append(request)
        return answer(request) if callable(answer) else httpx.Response(answer)

    async def work():
        async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
            while await webhooks.Deliverer(fleet.database).deliver(client):
                pass

    asyncio.run(work())
    return seen


def test_an_event_is_told_signed_and_once(fleet, acting):
    made = acting(Role.ADMIN, "POST", "/webhooks", json={"url": "https://a.example/h", "kinds": ["rollout."]}).json()
    happen(fleet)
    happen(fleet, "device.online")
    (request,) = deliver(fleet, 204)
    body = request.read()
    stamp = int(request.headers["wasel-timestamp"])
    assert request.headers["wasel-signature"] == webhooks.signature(made["secret"], stamp, body)
    assert b"rollout.paused" in body
    assert deliver(fleet, 204) == []
    listed = acting(Role.ADMIN, "GET", "/webhooks").json()
    assert (listed[0]["waiting"], listed[0]["answer"]) == (0, "HTTP 204")
    assert made["secret"] not in str(listed)


def test_a_failing_webhook_is_tried_again_and_then_dropped(fleet, acting):
    acting(Role.ADMIN, "POST", "/webhooks", json={"url": "http://a.example"})
    happen(fleet)
    for attempt in range(webhooks.MAX_ATTEMPTS):
        assert len(deliver(fleet, 500 if attempt % 2 else 302)) == 1
        assert deliver(fleet, 204) == []  # not due yet
        with fleet.database.write() as session:
            session.execute(update(Delivery).values(next_ms=0))
    assert deliver(fleet, 204) == []
    with fleet.database.read() as session:
        assert session.scalars(select(Delivery.state)).all() == ["dropped"]


def test_a_webhook_that_fails_for_long_is_off_until_it_is_enabled(fleet, acting):
    acting(Role.ADMIN, "POST", "/webhooks", json={"url": "http://a.example", "kinds": ["x"]})

    def broken(request):
        raise httpx.ConnectError("nobody there", request=request)

    happen(fleet, "x", webhooks.OFF_AFTER)
    deliver(fleet, broken)
    assert acting(Role.ADMIN, "GET", "/webhooks").json()[0]["enabled"] is False
    assert acting(Role.VIEWER, "GET", "/events?kind=webhook.disabled").json()
    happen(fleet, "x")
    assert deliver(fleet, 204) == []
    number = acting(Role.ADMIN, "GET", "/webhooks").json()[0]["id"]
    acting(Role.ADMIN, "POST", f"/webhooks/{number}/enable")
    happen(fleet, "x")
    assert deliver(fleet, 204)
    assert acting(Role.ADMIN, "DELETE", f"/webhooks/{number}").status_code == 204
    with fleet.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Delivery)) == 0


@pytest.mark.parametrize(
    "url", ["", "ftp://x", "http://", "file:///etc/passwd", "http://a\n.b", "http://[", "x" * 3000]
)
def test_bad_addresses_are_refused(acting, fleet, url):
    assert acting(Role.ADMIN, "POST", "/webhooks", json={"url": url}).status_code == 422
    with fleet.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Webhook)) == 0


def test_what_waits_is_bounded(fleet, acting, monkeypatch):
    monkeypatch.setattr(webhooks, "MAX_WAITING", 10)
    acting(Role.ADMIN, "POST", "/webhooks", json={"url": "http://a.example"})
    happen(fleet, count=30)
    deliver(fleet, 500)
    with fleet.database.read() as session:
        waiting = select(func.count()).select_from(Delivery).where(Delivery.state == "waiting")
        assert session.scalar(waiting) <= 11


def test_metrics_are_for_who_is_logged_in(server, tokens):
    assert server.get("/metrics").status_code == 401
    text = server.get("/metrics", headers={"Authorization": f"Bearer {tokens[Role.VIEWER]}"}).text
    assert "wasel_leader 0.0" in text
    assert "wasel_artifacts 0.0" in text
