# SPDX-License-Identifier: Apache-2.0
"""What pages are made from, without a browser: text, lines of output, CPU use, rate limits, passwords, set-up."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.access import Role
from fleet.auth import setup
from fleet.auth.password import check_password, hash_password, verify_password
from fleet.auth.rate_limit import Limiter
from fleet.errors import InvalidError
from fleet.models import LogRecord, Sample, User
from fleet.pages.actions.login import local
from fleet.pages.text import ago, duration, size
from fleet.pages.views.device import cpu_use
from fleet.pages.views.logs import lines, readable
from tests.server.routes import PASSWORD, calls, login


def test_pieces_of_a_line_are_put_together():
    def record(text, *, line=True, stream=1, slot=0):
        return LogRecord(at_ms=1, slot=slot, stream=stream, seq=0, data=text.encode(), line=line)

    pieces = [record("a", line=False), record("x", slot=1), record("E", stream=2), record("b"), record("c")]
    shown = [(row["slot"], row["stream"], row["text"]) for row in lines(pieces)]
    assert shown == [(0, 1, "ab"), (1, 1, "x"), (0, 2, "E"), (0, 1, "c")]


def test_control_characters_are_shown_not_obeyed():
    assert readable("a\tb\x1b[31m\u202e\x00") == "a\tb\\x1b[31m\\u202e\\x00"
    broken = LogRecord(at_ms=1, slot=0, stream=1, seq=0, data=b"\xff\xfe ok", line=True)
    assert lines([broken])[0]["text"] == "\\xff\\xfe ok"
    trace = LogRecord(at_ms=1, slot=0, stream=3, seq=0, data=b"no trace record", line=False)
    assert [row["text"] for row in lines([trace, trace])] == [b"no trace record".hex()] * 2


def test_cpu_use_skips_a_restart():
    counters = [(0, 0), (1000, 100_000), (2000, 50_000), (3000, 1_050_000), (3000, 1_060_000)]
    samples = [Sample(at_ms=at, slot=0, counters={"cpu_us": spent}) for at, spent in counters]
    assert [point["percent"] for point in cpu_use(samples)] == [10.0, 100.0]


def test_words():
    assert [size(value) for value in (0, 1023, 65536, 8 << 20)] == ["0 B", "1023 B", "64 KiB", "8 MiB"]
    assert [duration(value) for value in (12, 3400, 300_000, 7_200_000)] == ["12 ms", "3.4 s", "5 min", "2.0 h"]
    assert ago(None) == "never"


@given(st.text())
def test_login_goes_to_local_places_only(target):
    place = local(target)
    assert place.startswith("/")
    assert not place.startswith(("//", "/\\"))
    assert "\\" not in place


@dataclass
class Clock:
    now_s: float = 0.0

    def __call__(self):
        return self.now_s


def test_a_bucket_fills_again():
    clock = Clock()
    limiter = Limiter(rate_per_s=2, burst=3, clock=clock)
    assert [limiter.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.take("b") == 0
    clock.now_s = 0.5
    assert limiter.wait_s("a") == 0
    assert limiter.take("a") == 0
    assert limiter.take("a") > 0


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 2)), max_size=200))
def test_nobody_gets_more_than_burst_and_rate(requests):
    clock = Clock()
    limiter = Limiter(rate_per_s=1, burst=4, capacity=3, clock=clock)
    one = Limiter(rate_per_s=1, burst=4, clock=clock)
    let_in = 0
    for key, pause_s in requests:
        clock.now_s += pause_s
        limiter.take(key)
        let_in += one.take("same") == 0
    assert len(limiter._buckets) <= 3
    assert let_in <= 4 + clock.now_s


@pytest.mark.parametrize("password", ["short", "passwordpassword", "aaaaaaaaaaaaaaaa", "adaadaadaada12", "x" * 300])
def test_easy_passwords_are_refused(password):
    with pytest.raises(InvalidError):
        check_password(password, "ada")


def test_passwords_are_hashed_with_a_salt_and_compared_in_one_normal_form():
    first, second = hash_password("pass\u00e9 pour tous"), hash_password("pass\u00e9 pour tous")
    assert first != second
    assert first.startswith("$argon2id$")
    assert verify_password(first, "passe\u0301 pour tous")
    assert not verify_password(first, "passe pour tous")
    assert not verify_password(None, "nobody has this password")


def address(server):
    fleet = server.app.state.fleet
    with fleet.database.read() as db:
        return setup.first_address(db, fleet.settings.data, "http://testserver")


def set_up(server, url, name="ada", password=PASSWORD):
    page = server.get(url)
    fields = dict(re.findall(r'name="(csrf|token)" value="([^"]+)"', page.text))
    data = {**fields, "name": name, "password": password, "repeated": password}
    return server.post("/setup", data=data, follow_redirects=False)


def test_the_first_admin_is_made_once(server, fleet):
    url = address(server)
    assert set_up(server, url).status_code == 303
    with fleet.database.read() as db:
        assert [(user.name, user.role) for user in db.query(User)] == [("ada", Role.ADMIN.text)]
    assert address(server) is None
    server.cookies.clear()
    assert server.get(url).status_code == 403
    assert login(server, "ada")


def test_a_newer_set_up_address_voids_the_older(server):
    older, newer = address(server), address(server)
    assert older != newer
    assert server.get(older).status_code == 403
    assert server.get(newer).status_code == 200


@pytest.mark.parametrize("token", ["x", "guess", "0" * 200])
def test_no_admin_without_the_token(server, fleet, token):
    url = address(server)
    csrf = re.search(r'name="csrf" value="([^"]+)"', server.get(url).text)[1]
    data = {"csrf": csrf, "token": token, "name": "eve", "password": PASSWORD, "repeated": PASSWORD}
    assert server.post("/setup", data=data).status_code == 403
    with fleet.database.read() as db:
        assert db.query(User).count() == 0


def test_there_is_no_user_at_first(server, fleet):
    with fleet.database.read() as db:
        assert db.query(User).count() == 0


def test_every_page_has_its_json(server, fleet):
    found = calls(server.app)
    pages = {
        call.path
        for call in found
        if call.method == "GET" and not call.path.startswith(("/api", "/metrics", "/healthz"))
    }
    views = {call.path.removeprefix("/api/v1/views") for call in found if call.path.startswith("/api/v1/views")}
    forms = {"/login", "/setup", "/rollouts/new"}
    assert pages - forms - views == {"/"}
    assert "/fleet" in views


def test_json_of_a_page_is_marked_and_not_sent_again(server, fleet):
    assert set_up(server, address(server)).status_code == 303
    first = server.get("/api/v1/views/map")
    again = server.get("/api/v1/views/map", headers={"if-none-match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")
