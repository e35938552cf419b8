# SPDX-License-Identifier: Apache-2.0
"""Devices come in by claim token or expected serial, each with its own key; nobody else does."""

from __future__ import annotations

import os
import time

import pytest

from agent.enroll import make_request
from agent.keys import generate_key
from fleet import enrolment
from fleet.access import Role
from fleet.broker_credentials import verifies


@pytest.fixture
def options():
    return {"device_broker_url": "mqtts://broker.example:8883"}


def ask(server, key, *, device=None, serial=None, claim=None, time_s=None):
    body = make_request(
        key, device=device, serial=serial, claim=claim, now_s=int(time_s or time.time()), nonce=os.urandom(16)
    )
    return server.post("/api/v1/enroll", json=body)


def claim_of(acting, **body):
    return acting(Role.OPERATOR, "POST", "/claims", json=body).json()["token"]


def test_a_claim_token_lets_so_many_devices_in(server, acting, fleet):
    token = claim_of(acting, uses=2, tags={"site": "lab"})
    first = generate_key()
    answer = ask(server, first, device="pump-1", claim=token).json()
    assert (answer["device"], answer["username"], answer["tenant"]) == ("pump-1", "pump-1", "default")
    assert answer["broker"] == "mqtts://broker.example:8883"
    with fleet.database.read() as session:
        assert verifies(answer["password"], enrolment.credentials(session)["pump-1"])
    device = acting(Role.VIEWER, "GET", "/devices/pump-1").json()
    assert (device["tags"], device["status"], device["key"]) == ({"site": "lab"}, "enrolled", first.public.raw.hex())
    taken = ask(server, generate_key(), device="pump-1", claim=token)
    assert (taken.status_code, "another device" in taken.json()["detail"]) == (403, True)
    assert ask(server, generate_key(), claim=token).status_code == 200
    assert ask(server, generate_key(), claim=token).status_code == 403


def test_a_key_renews_its_password_and_an_old_request_does_not(server, acting, fleet):
    key, now_s = generate_key(), time.time()
    token = claim_of(acting)
    body = make_request(key, device="pump-1", serial=None, claim=token, now_s=int(now_s), nonce=os.urandom(16))
    old = server.post("/api/v1/enroll", json=body).json()["password"]
    assert server.post("/api/v1/enroll", json=body).status_code == 403
    assert ask(server, key, time_s=now_s - 60).status_code == 403
    new = ask(server, key, time_s=now_s + 1).json()["password"]
    with fleet.database.read() as session:
        hashed = enrolment.credentials(session)["pump-1"]
    assert verifies(new, hashed)
    assert not verifies(old, hashed)


def test_a_serial_waits_for_an_operator_unless_its_key_is_known(server, acting):
    key, other = generate_key(), generate_key()
    acting(Role.OPERATOR, "POST", "/devices", json={"name": "pump-1", "serial": "SN1"})
    answer = ask(server, key, serial="SN1")
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert ask(server, other, serial="SN1").status_code == 403
    assert acting(Role.VIEWER, "POST", "/devices/pump-1/accept").status_code == 403
    assert acting(Role.OPERATOR, "POST", "/devices/pump-1/accept").status_code == 200
    assert ask(server, key, serial="SN1").json()["device"] == "pump-1"
    body = {"name": "pump-2", "serial": "SN2", "key": other.public.raw.hex()}
    acting(Role.OPERATOR, "POST", "/devices", json=body)
    assert ask(server, generate_key(), serial="SN2").status_code == 403
    assert ask(server, other, serial="SN2").json()["device"] == "pump-2"


def test_who_is_not_let_in(server, acting):
    good = claim_of(acting)
    for wrong in (None, "nonsense", good[:-1], ""):
        assert ask(server, generate_key(), claim=wrong or None).status_code == 403
    assert ask(server, generate_key(), serial="SN9").status_code == 403
    number = acting(Role.VIEWER, "GET", "/claims").json()[0]["id"]
    acting(Role.OPERATOR, "DELETE", f"/claims/{number}")
    assert ask(server, generate_key(), claim=good).status_code == 403
    key = generate_key()
    ask(server, key, device="pump-1", claim=claim_of(acting))
    acting(Role.OPERATOR, "POST", "/devices/pump-1/revoke")
    assert ask(server, key, time_s=time.time() + 2).status_code == 403
    body = make_request(
        generate_key(), device="x", serial=None, claim=claim_of(acting), now_s=int(time.time()), nonce=os.urandom(16)
    )
    assert server.post("/api/v1/enroll", json=body | {"device": "y"}).status_code >= 400
    assert server.post("/api/v1/enroll", json={}).status_code >= 400
    assert len(acting(Role.VIEWER, "GET", "/devices").json()["devices"]) == 1
