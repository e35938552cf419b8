# SPDX-License-Identifier: Apache-2.0
"""Enrolment from the agent's side: requests and their checks, the agent against a small server and a real broker."""

from __future__ import annotations

import asyncio
import base64
import copy
import datetime as dt
import json
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.enroll import CLOCK_S, Enrolled, EnrollError, check_request, make_request, split_claim
from agent.errors import WaselError
from agent.keys import generate_key
from agent.link.simulated import SimulatedDevice
from agent.login import Login, load_login, save_login
from agent.messages import State
from agent.session import Session, serve_device
from fleet.broker_credentials import new_secret
from fleet.pki import ensure_pki, fingerprint
from tests.agents.conftest import DeviceThread, running, wasel

KEY = generate_key()
NOW_S = 1_800_000_000


def request(**changes):
    fields = {"device": "dev1", "serial": "SN 1", "claim": "token", "now_s": NOW_S, "nonce": bytes(16)}
    return make_request(KEY, **{**fields, **changes})


def test_a_request_goes_through_json_and_is_verified():
    checked = check_request(json.loads(json.dumps(request())), NOW_S + CLOCK_S)
    assert (checked.key, checked.device, checked.serial, checked.claim) == (KEY.public, "dev1", "SN 1", "token")


@pytest.mark.parametrize(
    "changes",
    [
        {"device": "other"},
        {"device": "a/b"},
        {"device": "+"},
        {"serial": "SN 2"},
        {"claim": None},
        {"claim": 5},
        {"key": base64.urlsafe_b64encode(generate_key().public.raw).decode()},
        {"key": "AA=="},
        {"key": None},
        {"time": NOW_S + 1},
        {"time": True},
        {"time": 1.5},
        {"nonce": base64.urlsafe_b64encode(bytes([1] * 16)).decode()},
        {"signature": base64.urlsafe_b64encode(bytes(64)).decode()},
        {"signature": "*"},
        {"v": 2},
        {"v": True},
        {"more": 1},
        {"serial": "x" * 257},
        {"serial": ""},
        {"serial": "\x1b[2J"},
    ],
)
def test_a_changed_request_is_refused(changes):
    with pytest.raises(EnrollError):
        check_request({**request(), **changes}, NOW_S)


@pytest.mark.parametrize("name", sorted(request()))
def test_a_request_without_a_field_is_refused(name):
    body = request()
    del body[name]
    with pytest.raises(EnrollError):
        check_request(body, NOW_S)


@pytest.mark.parametrize("off_s", [CLOCK_S + 1, -CLOCK_S - 1, 10**18])
def test_an_old_or_early_request_is_refused(off_s):
    with pytest.raises(EnrollError, match="clock"):
        check_request(request(), NOW_S + off_s)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
)


@given(JSON, st.sampled_from(sorted(request())))
def test_any_json_is_refused_with_our_error_or_unchanged(value, name):
    for body in (value, {**request(), name: value}):
        try:
            check_request(copy.deepcopy(body), NOW_S)
        except EnrollError:
            continue
        assert body == request() | {name: value}
        assert value == request()[name]


def test_a_claim_may_carry_the_fingerprint_of_the_authority():
    pin = "0123456789abcdef" * 4
    assert split_claim(f"secret.{pin}") == (f"secret.{pin}", pin)
    assert split_claim("secret.part") == ("secret.part", None)


@pytest.mark.parametrize("body", [None, [], {}, {"v": 1}, {"v": 1, "device": "a/b", "tenant": "default"}])
def test_a_bad_answer_is_refused(body):
    with pytest.raises(EnrollError):
        Enrolled.parse(body)


def test_a_login_is_kept_for_this_user_only_and_quoted_in_the_url(tmp_path):
    login = Login("mqtts://host:8883", "dev1", "p@ss/w:rd", "PEM")
    save_login(tmp_path / "login.json", login)
    assert load_login(tmp_path / "login.json") == login
    assert (tmp_path / "login.json").stat().st_mode & 0o777 == 0o600
    assert login.url() == "mqtts://dev1:p%40ss%2Fw%3Ard@host:8883"
    assert load_login(tmp_path / "none.json") is None


def test_certificates_are_made_once_renewed_in_time_and_for_other_names(tmp_path):
    now = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
    first = ensure_pki(tmp_path / "pki", ["localhost", "127.0.0.1"], now)
    ca, server = first.ca.read_bytes(), first.certificate.read_bytes()
    assert first.key.stat().st_mode & 0o777 == 0o600
    again = ensure_pki(tmp_path / "pki", ["127.0.0.1", "localhost"], now)
    assert (again.ca.read_bytes(), again.certificate.read_bytes()) == (ca, server)
    ensure_pki(tmp_path / "pki", ["localhost"], now)
    assert first.ca.read_bytes() == ca
    other = first.certificate.read_bytes()
    assert other != server
    ensure_pki(tmp_path / "pki", ["localhost"], now + dt.timedelta(days=340))
    assert first.ca.read_bytes() == ca
    assert first.certificate.read_bytes() != other
    assert len(fingerprint(ca)) == 64


class Server:
    """What fleet's server does, as small as it gets: answers by a function of the verified request."""

    def __init__(self, answer, ca):
        self.requests = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self._send(200, ca)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                checked = check_request(body, time.time())
                outer.requests.append(checked)
                status, fields = answer(len(outer.requests), checked)
                self._send(status, json.dumps(fields).encode())

            def _send(self, status, data):
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@contextmanager
def serving(answer, ca=b"", pki=None):
    server = Server(answer, ca)
    if pki is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.certificate, pki.key)
        server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
        server.url = server.url.replace("http:", "https:")
    thread = threading.Thread(target=server.http.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.http.shutdown()
        thread.join()
        server.http.server_close()


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("WASEL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


async def test_an_agent_enrols_by_claim_over_https_logs_in_with_tls_and_renews(site):
    ca = site.broker.ca.read_bytes()
    secrets = []
    hashes = {name: secret.hash for name, secret in site.secrets.items()}
    loop = asyncio.get_running_loop()

    def answer(_number, checked):
        secrets.append(new_secret())
        hashes["dev1"] = secrets[-1].hash
        asyncio.run_coroutine_threadsafe(site.broker.set_devices(hashes), loop).result(60)
        fields = {"v": 1, "device": checked.device, "tenant": "default", "broker": site.broker.url, "ca": ca.decode()}
        return 200, fields | {"username": "dev1", "password": secrets[-1].password}

    topic = "wasel/1/default/dev1/state"
    with DeviceThread(SimulatedDevice()) as device, serving(answer, ca, site.broker.pki) as server:
        options = ("agent", "--device", "dev1", "--port", device.url, "--enroll", server.url)

        async def online(*more):
            async with site.client("_server.0", tls=False, subscribe=[topic]) as watcher:
                with running(*options, *more):
                    await watcher.until(
                        lambda: any(State.parse(body).online and State.parse(body).link for _, body in watcher.got)
                    )

        await online("--claim", f"secret.{fingerprint(ca)}")
        assert [request.claim for request in server.requests] == [f"secret.{fingerprint(ca)}"]
        await online()  # what enrolment gave is kept: no question asked
        assert len(server.requests) == 1
        hashes["dev1"] = new_secret().hash
        await site.broker.set_devices(hashes)
        await online("--ca", str(site.broker.ca))  # the old password is void: the key renews it
        assert len(server.requests) == 2
        assert server.requests[0].key == server.requests[1].key


async def ends(**session):
    """Run an agent that cannot start, in this process; gives exit code and text of its error."""
    with pytest.raises(WaselError) as caught:
        await serve_device(Session("dev1", port="socket://127.0.0.1:9", **session), "mqtt://127.0.0.1:9")
    return caught.value.exit_code, str(caught.value)


async def test_options_that_do_not_go_together():
    for options, words in ((("--claim", "x"), "go with --enroll"), (("--user", "x"), "goes with --broker")):
        result = await asyncio.to_thread(wasel, "agent", "--device", "dev1", *options)
        assert result.returncode == 2
        assert words in result.stderr


async def test_what_an_agent_does_not_accept(tmp_path):
    pki = ensure_pki(tmp_path / "pki", ["localhost", "127.0.0.1"])
    ca = pki.ca.read_bytes()
    code, text = await ends(server="http://192.0.2.1:8080", claim="x")
    assert code == 2
    assert "http:// is for this machine only" in text
    with serving(lambda *_: (403, {"detail": "token unknown\x1b[31m"}), ca, pki) as server:
        code, text = await ends(server=server.url, claim=f"x.{'0' * 64}")
        assert code == 2
        assert "wrong server?" in text
        code, text = await ends(server=server.url, claim="x")  # not signed by a public authority
        assert code == 5
        assert server.requests == []
        code, text = await ends(server=server.url, claim="x", ca=pki.ca)
        assert code == 2
        assert "token unknown" in text
        assert "\x1b" not in text
    with serving(lambda *_: (200, {"v": 1, "device": "dev2", "tenant": "default", "broker": "mqtt://127.0.0.1:9",
                                   "username": "dev2", "password": "p"})) as server:  # fmt: skip
        code, text = await ends(server=server.url, serial="SN1")
        assert code == 2
        assert "use --device dev2" in text


async def test_a_serial_number_waits_for_an_operator():
    def answer(number, _checked):
        if number < 2:
            return 202, {"v": 1, "status": "pending", "retry_s": 1}
        return 403, {"detail": "refused by hand"}

    with serving(answer) as server:
        code, text = await ends(server=server.url, serial="SN1")
    assert code == 2
    assert "refused by hand" in text
    assert [request.serial for request in server.requests] == ["SN1", "SN1"]


async def test_tls_options_of_the_agent(site, tmp_path):
    (tmp_path / "password").write_text(site.secrets["victim"].password + "\n")
    ca, at = site.broker.ca, {"broker": site.broker.url, "user": "victim"}
    login = at | {"password": site.secrets["victim"].password}
    code, text = await ends(**login)
    assert code == 5  # the private authority is not among the system's
    assert "CA" in text
    code, text = await ends(**login, ca=tmp_path / "nothing.pem")
    assert code == 2
    code, text = await ends(**login, ca=ca, key=site.broker.pki.key)
    assert code == 2
    assert "--tls-cert" in text
    code, text = await ends(**at, password="wrong", ca=ca)  # noqa: S106
    assert code == 5
    assert "refused" in text
    pki = site.broker.pki
    with DeviceThread(SimulatedDevice()) as device:
        async with site.client("_server.0", tls=False, subscribe=["wasel/1/default/victim/state"]) as watcher:
            with running("agent", "--device", "victim", "--port", device.url, "--broker", site.broker.url,
                         "--user", "victim", "--password-file", str(tmp_path / "password"), "--ca", str(ca),
                         "--tls-cert", str(pki.certificate), "--tls-key", str(pki.key)):  # fmt: skip
                await watcher.until(lambda: any(State.parse(body).link for _, body in watcher.got))
