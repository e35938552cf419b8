# SPDX-License-Identifier: Apache-2.0
"""The audit log's chain of hashes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from fleet import audit
from fleet.access import SYSTEM, Role
from fleet.models import AuditEntry


def test_what_was_done_is_in_the_log(acting):
    acting(Role.ADMIN, "POST", "/users", json={"name": "zoe", "role": "viewer"})
    entry = acting(Role.VIEWER, "GET", "/audit").json()[0]
    assert (entry["actor"], entry["action"], entry["target"]) == ("admin", "user.create", "zoe")
    verdict = acting(Role.VIEWER, "GET", "/audit/verify").json()
    assert verdict["good"]
    assert verdict["head"] == entry["hash"]
    assert acting(Role.VIEWER, "GET", "/audit/head").json() == {"count": entry["id"], "head": entry["hash"]}


def test_a_failed_action_leaves_no_entry(acting):
    before = acting(Role.ADMIN, "GET", "/audit/head").json()
    assert acting(Role.ADMIN, "POST", "/users", json={"name": "viewer", "role": "viewer"}).status_code == 409
    assert acting(Role.ADMIN, "GET", "/audit/head").json() == before


@pytest.mark.usefixtures("tokens")
def test_a_changed_log_is_noticed(fleet):
    with fleet.database.write() as session:
        audit.append(session, SYSTEM, "test", "one")
    with fleet.database.read() as session:
        noted = audit.head(session)[1]
        assert audit.verify(session, noted).broken is None
    with fleet.database.write() as session:
        session.execute(text("UPDATE audit SET actor = 'mallory' WHERE id = 3"))
    with fleet.database.read() as session:
        assert audit.verify(session).broken == 3
    with fleet.database.write() as session:
        session.execute(text("DELETE FROM audit WHERE id >= 3"))
    with fleet.database.read() as session:
        assert audit.verify(session).broken is None
        assert audit.verify(session, noted).broken is not None


def chain(count):
    previous, made = audit.GENESIS, []
    for number in range(1, count + 1):
        fields = {"id": number, "at_ms": number, "actor": "a", "action": "b", "target": "c", "detail": {"n": number}}
        entry = AuditEntry(**fields, previous=previous, hash=audit.entry_hash(previous, fields))
        previous = entry.hash
        made.append(entry)
    return made


@given(st.integers(1, 8), st.data())
def test_any_change_breaks_the_chain(count, data):
    entries = chain(count)
    assert audit.check(entries) == audit.Verdict(count, entries[-1].hash)
    index = data.draw(st.integers(0, count - 1))
    field, value = data.draw(
        st.sampled_from([("actor", "x"), ("at_ms", 99), ("detail", {}), ("previous", "1" * 64), ("hash", "2" * 64)])
    )
    setattr(entries[index], field, value)
    assert audit.check(entries).broken == index + 1


@given(st.integers(2, 8), st.data())
def test_a_missing_entry_breaks_the_chain(count, data):
    entries = chain(count)
    del entries[data.draw(st.integers(0, count - 2))]
    assert audit.check(entries).broken is not None
