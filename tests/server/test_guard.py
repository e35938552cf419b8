# SPDX-License-Identifier: Apache-2.0
"""Every route without login, with too low a role, without CSRF token: no data, no action."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import func, select, text

from fleet import access
from fleet.access import SYSTEM, Role, needs
from fleet.auth.guard import Guard, UndeclaredRouteError, routes
from fleet.auth.password import hash_password
from fleet.models import Base, Device
from fleet.pages.actions.login import Tries
from tests.server.routes import PASSWORD, calls, login

HTML = {"accept": "text/html"}
CANARY = "canary-in-the-database"
"""Whoever sees it has seen data."""


@pytest.fixture
def people(fleet):
    """A user with a password for each role."""
    hashed = hash_password(PASSWORD)
    with fleet.database.write() as session:
        for role in Role:
            access.create_user(session, SYSTEM, role.text, role, hashed)


@pytest.fixture
def unlimited(server):
    """The rate limits are another test's business."""
    guard = server.app.state.guard
    for limiter in (guard.by_user, guard.by_address, guard.failures):
        limiter._burst = 1e9


@pytest.fixture
def canaries(fleet):
    """Names and texts to be found by who gets through."""
    with fleet.database.write() as session:
        session.add(Device(name="dev1", note=CANARY, serial=CANARY, created_ms=1, errors={"0": CANARY}))
        access.create_user(session, SYSTEM, CANARY, Role.VIEWER)


def stop_clock(*limiters):
    """No bucket fills again: a slow machine shows the same as a fast one."""
    for limiter in limiters:
        limiter._clock = lambda: 0.0


def contents(fleet):
    """What the database holds: rows of every table, but for what logins themselves write."""
    with fleet.database.read() as session:
        return {
            table.name: session.execute(select(text("*")).select_from(table)).all()
            if table.name not in {"browser_sessions", "tokens"}
            else session.scalar(select(func.count()).select_from(table))
            for table in Base.metadata.sorted_tables
        }


def guarded(server):
    found = [call for call in calls(server.app) if call.role is not None]
    assert len(found) > 20
    return found


def refused(answer, *statuses):
    """The answer refuses and gives nothing away."""
    assert answer.status_code in statuses, answer.text
    if answer.status_code == 303:
        assert answer.headers["location"].startswith("/login?")
        assert answer.content == b""
    elif answer.headers["content-type"].startswith("text/html"):
        assert f'<p class="quiet num">{answer.status_code}</p>' in answer.text
        assert "<nav" not in answer.text
    else:
        assert set(answer.json()) == {"detail"}
    assert CANARY not in answer.text


FORMS = {"GET /login", "POST /login", "GET /setup", "POST /setup"}
FOR_EVERYBODY = {"GET /healthz", "GET /api/v1/ca.pem", "POST /api/v1/enroll"}
"""Who adds to these says in its review what somebody without a login gets or does there."""


def test_every_route_declares_who_may_use_it(server):
    found = calls(server.app)
    assert {call.id for call in found if call.role is None and call.form} == FORMS
    assert {call.id for call in found if call.role is None and not call.form} <= FOR_EVERYBODY


def test_a_route_that_declares_nothing_stops_the_server(server):
    router = APIRouter()
    router.get("/forgotten")(lambda: {"secret": 1})
    server.app.include_router(router)
    with pytest.raises(UndeclaredRouteError, match="/forgotten"):
        Guard(server.app.state.fleet.database).install(server.app)


def test_no_route_answers_without_login(server, fleet, canaries, unlimited):
    before = contents(fleet)
    for call in guarded(server):
        refused(server.request(call.method, call.url, json={}, follow_redirects=False), 401)
        refused(server.request(call.method, call.url, headers=HTML, follow_redirects=False), 303, 401)
        refused(server.request(call.method, call.url, headers={"authorization": "Bearer wft_guess"}), 401)
        refused(server.request(call.method, call.url, headers={"cookie": "wasel=guess"}), 401)
    assert contents(fleet) == before


def test_no_route_answers_a_lower_role(server, fleet, canaries, tokens, unlimited):
    before = contents(fleet)
    for call in guarded(server):
        for role in Role:
            if role < call.role:
                headers = {"authorization": f"Bearer {tokens[role]}"}
                refused(server.request(call.method, call.url, headers=headers, json={}), 403)
    assert contents(fleet) == before


def test_no_change_without_csrf_token(server, fleet, canaries, people, unlimited):
    csrf = login(server, "admin")
    before = contents(fleet)
    changing = [call for call in guarded(server) if call.method not in {"GET", "HEAD"}]
    for call in changing:
        send = lambda **options: server.request(call.method, call.url, follow_redirects=False, **options)  # noqa: B023, E731
        refused(send(json={}), 403)
        refused(send(data={"csrf": "", "x": "1"}), 403)
        refused(send(data={"csrf": csrf[:-1] + "x"}), 403)
        refused(send(headers={"x-csrf-token": "0" * 64}), 403)
        refused(send(headers={"x-csrf-token": csrf, "origin": "https://elsewhere.example"}), 403)
        refused(send(headers={"x-csrf-token": csrf, "sec-fetch-site": "cross-site"}), 403)
        refused(send(files={"csrf": (None, csrf)}), 403)  # only small forms and the header carry it
    assert contents(fleet) == before


def test_a_token_of_another_session_is_none(server, people):
    other = login(server, "operator")
    login(server, "admin")
    refused(server.post("/account/sessions/end", data={"csrf": other}), 403)


def test_the_body_is_not_read_before_login(server):
    """A refused upload costs nothing: the answer comes although the body never would."""

    def endless():
        yield b"x"
        raise AssertionError("the body was read")

    asked = [call for call in guarded(server) if call.method == "POST"]
    for call in asked:
        seen = []
        scope = {
            "type": "http",
            "method": "POST",
            "path": call.url,
            "raw_path": call.url.encode(),
            "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
            "scheme": "http",
            "client": ("192.0.2.1", 1),
            "server": ("testserver", 80),
        }

        async def receive():
            raise AssertionError("the body was read")

        async def send(message):
            seen.append(message)  # noqa: B023

        server.portal.call(server.app, scope, receive, send)
        assert seen[0]["status"] == 401, call.id


def test_headers_of_every_answer(server, people):
    login(server, "viewer")
    for call in calls(server.app):
        if call.method != "GET" or call.path == "/api/v1/stream":
            continue
        headers = server.get(call.url, headers=HTML, follow_redirects=False).headers
        policy = headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "no-store" in headers["cache-control"] or "etag" in headers


def test_pages_have_neither_inline_scripts_nor_foreign_hosts(server, people):
    login(server, "admin")
    for call in calls(server.app):
        if call.method != "GET" or call.path.startswith(("/api", "/metrics", "/healthz")):
            continue
        page = server.get(call.url, headers=HTML, follow_redirects=True).text
        assert "<html" in page, call.id
        assert re.findall(r"<script(?![^>]*src=)", page) == []
        assert re.findall(r"\son\w+=|\sstyle=", page) == []
        assert {link for link in re.findall(r'(?:src|href|action)="([^"]*)"', page) if "//" in link} == set()


def test_login_is_limited_by_name_and_address(server, people):
    tries = Tries()
    stop_clock(tries.by_name, tries.by_address)
    server.app.state.login_tries = tries
    page = server.get("/login").text
    csrf = re.search(r'name="csrf" value="(\w+)"', page)[1]
    answers = [
        server.post("/login", data={"csrf": csrf, "name": "admin", "password": f"wrong number {n}"}).status_code
        for n in range(12)
    ]
    assert answers[:8] == [403] * 8
    assert answers[8:] == [429] * 4
    right = server.post("/login", data={"csrf": csrf, "name": "admin", "password": PASSWORD})
    assert right.status_code == 429


def test_wrong_name_and_wrong_password_look_the_same(server, people):
    csrf = re.search(r'name="csrf" value="(\w+)"', server.get("/login").text)[1]
    unknown, wrong = (
        server.post("/login", data={"csrf": csrf, "name": name, "password": "not the right one"})
        for name in ("nobody", "viewer")
    )
    assert unknown.status_code == wrong.status_code == 403
    assert unknown.text.replace("nobody", "viewer") == wrong.text


def test_requests_are_limited_by_user(server, tokens):
    headers = {"authorization": f"Bearer {tokens[Role.VIEWER]}"}
    limiter = server.app.state.guard.by_user
    limiter._burst = 5.0
    stop_clock(limiter)
    server.app.state.guard.by_user._rate = 0.01  # however slow this machine is
    answers = [server.get("/api/v1/me", headers=headers) for _ in range(40)]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 429)


def test_wrong_tokens_are_limited_before_the_database_is_asked(server):
    stop_clock(server.app.state.guard.failures)
    headers = {"authorization": "Bearer wft_guess"}
    answers = [server.get("/api/v1/me", headers=headers).status_code for _ in range(60)]
    assert answers[0] == 401
    assert answers[-1] == 429


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "x", ""]
)
def test_login_leads_to_this_site_only(server, people, target):
    csrf = re.search(r'name="csrf" value="(\w+)"', server.get("/login").text)[1]
    data = {"csrf": csrf, "name": "viewer", "password": PASSWORD, "next": target}
    assert server.post("/login", data=data, follow_redirects=False).headers["location"] == "/"


def test_logout_ends_the_session_everywhere_it_is_known(server, people):
    csrf = login(server, "viewer")
    cookie = server.cookies["wasel"]
    assert server.post("/logout", data={"csrf": csrf}, follow_redirects=False).status_code == 303
    assert server.get("/api/v1/me", headers={"cookie": f"wasel={cookie}"}).status_code == 401


def test_a_disabled_user_is_out_at_once(server, fleet, people):
    login(server, "operator")
    assert server.get("/api/v1/me").json() == {"name": "operator", "role": "operator"}
    with fleet.database.write() as session:
        access.update_user(session, SYSTEM, "operator", disabled=True)
    assert server.get("/api/v1/me").status_code == 401


def test_the_session_cookie(server, people):
    csrf = re.search(r'name="csrf" value="(\w+)"', server.get("/login").text)[1]
    data = {"csrf": csrf, "name": "viewer", "password": PASSWORD}
    cookie = server.post("/login", data=data, follow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    with TestClient(server.app, base_url="https://testserver") as secure:
        page = secure.get("/login")
        csrf = re.search(r'name="csrf" value="(\w+)"', page.text)[1]
        answer = secure.post("/login", data=data | {"csrf": csrf}, follow_redirects=False)
    assert answer.headers["set-cookie"].startswith("__Host-wasel=")
    assert "Secure" in answer.headers["set-cookie"]
    assert "strict-transport-security" in answer.headers


def test_of_several_roles_the_highest_counts():
    router = APIRouter(dependencies=[Depends(needs(Role.ADMIN))])
    router.get("/x", dependencies=[Depends(needs(Role.VIEWER))])(lambda: None)
    app = FastAPI()
    app.include_router(router)
    assert [says.role for _, path, _, says in routes(app) if path == "/x"] == [Role.ADMIN]
