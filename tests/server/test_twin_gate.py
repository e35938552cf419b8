# SPDX-License-Identifier: Apache-2.0
"""The twin gate over HTTP: jobs are given once, reports count only if signed by a trusted key and about the module."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest

from agent.keys import create_key_files, generate_key, load_private_key
from fleet.access import Role
from fleet.clock import now_ms
from fleet.twin_report import TwinReport, sign_report
from tests.server.live import module

PLAN = {"approval": False}


def report(data: bytes, **changes) -> TwinReport:
    digest = hashlib.sha256(data).digest()
    good = TwinReport(
        digest=digest, size=len(data), image=bytes(32), kernel="stand-in", device_version="0.1.0",
        device_image="development", name="", version="", sequence=0, health={}, began_ms=now_ms(), boot_ms=1,
        guest_boot_ms=1, install_ms=1, soak_ms=1000, ran_ms=1000, state="running", active=digest, starts=1,
        arena=8 << 20, arena_peak=65536,
    )  # fmt: skip
    return dataclasses.replace(good, **changes)


@pytest.fixture
def options(tmp_path):
    create_key_files(tmp_path / "twin.key")
    return {"twin_keys": str(tmp_path / "twin.key.pub"), "engine": True}


@pytest.fixture
def gate(server, acting, tmp_path):
    """A rollout that waits at the gate; gives its module, its job, and how to ask."""
    data = module("run")
    digest = acting(Role.ADMIN, "POST", "/artifacts", content=data).json()["digest"]
    body = {"name": "r", "artifact": digest, "filter": "all", "plan": PLAN, "start": True, "args": ["a"]}
    number = acting(Role.OPERATOR, "POST", "/rollouts", json=body).json()["id"]
    job = None
    while job is None:
        job = acting(Role.OPERATOR, "POST", "/twin/claim", json={"worker": "w1"}).json()
    assert job["digest"] == digest
    assert job["args"] == ["a"]
    assert acting(Role.OPERATOR, "POST", "/twin/claim", json={"worker": "w2"}).json() is None
    return data, job["job"], number, load_private_key(tmp_path / "twin.key")


def phase_of(acting, number, *not_these):
    while (phase := acting(Role.VIEWER, "GET", f"/rollouts/{number}").json()["phase"]) in not_these:
        pass
    return phase


def test_a_good_report_opens_the_gate(acting, gate):
    data, job, number, key = gate
    signed = sign_report(report(data), key)
    assert acting(Role.OPERATOR, "POST", f"/twin/{job}/report", content=signed).json() == {"state": "passed"}
    assert phase_of(acting, number, "gate") in ("running", "completed")
    shown = acting(Role.VIEWER, "GET", f"/twin/{job}").json()
    assert (shown["passed"], shown["arena_peak"], shown["kernel"]) == (True, 65536, "stand-in")
    assert acting(Role.VIEWER, "GET", f"/twin/{job}/report").content == signed
    again = acting(Role.OPERATOR, "POST", f"/twin/{job}/report", content=signed)
    assert again.status_code == 409


def test_a_trap_in_the_twin_ends_the_rollout(acting, gate):
    data, job, number, key = gate
    signed = sign_report(report(data, state="trapped", traps=("unreachable",)), key)
    assert acting(Role.OPERATOR, "POST", f"/twin/{job}/report", content=signed).json() == {"state": "failed"}
    assert phase_of(acting, number, "gate") == "refused"
    assert acting(Role.OPERATOR, "POST", f"/rollouts/{number}/start").status_code == 409


def test_reports_that_do_not_count(acting, gate):
    data, job, number, key = gate
    good = report(data)
    bad = [
        b"",
        b"\xff" * 100,
        sign_report(good, generate_key()),
        sign_report(report(data + b"\0\1\0"), key),
        sign_report(dataclasses.replace(good, began_ms=1), key),
        sign_report(good, key)[:-1] + b"\0",
    ]
    for body in bad:
        answer = acting(Role.OPERATOR, "POST", f"/twin/{job}/report", content=body)
        assert answer.status_code == 422, answer.text
    assert acting(Role.VIEWER, "POST", f"/twin/{job}/report", content=sign_report(good, key)).status_code == 403
    assert phase_of(acting, number) == "gate"
