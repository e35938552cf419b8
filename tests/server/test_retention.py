# SPDX-License-Identifier: Apache-2.0
"""What is kept has bounds, in bytes and by device: who says much pushes out what it said itself, and nothing else."""

import dataclasses
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from fleet import access, audit, journal, retention
from fleet.access import SYSTEM, Role
from fleet.database import Database, upgrade
from fleet.enrolment import create_claim, enroll_many
from fleet.models import (
    Artifact,
    AuditEntry,
    BrowserSession,
    Claim,
    Device,
    Event,
    LogRecord,
    Rollout,
    RolloutDevice,
    Sample,
    Token,
    TwinJob,
)
from fleet.retention import Retention, level
from fleet.settings import Settings

NAMES = [f"dev{number}" for number in range(10)]


@pytest.fixture
def database(empty_url):
    upgrade(empty_url)
    database = Database(empty_url)
    with database.write() as session:
        enroll_many(session, SYSTEM, NAMES)
    yield database
    database.close()


@pytest.fixture
def numbers(database):
    with database.read() as session:
        return dict(session.execute(select(Device.name, Device.id)).all())


def keeper(database, tmp_path, **options):
    return Retention(database, Settings(data=tmp_path / "data", **options))


def say(database, number, count, size):
    row = {"device_id": number, "at_ms": 1, "slot": 0, "stream": 0, "line": True, "data": b"x" * size}
    with database.write() as session:
        session.execute(insert(LogRecord), [row | {"seq": seq} for seq in range(count)])


def held(database, table, size=None):
    """Rows of each device, and bytes."""
    query = select(table.device_id, func.count(), func.sum(size if size is not None else 0)).group_by(table.device_id)
    with database.read() as session:
        return {device: (rows, int(total)) for device, rows, total in session.execute(query)}


@given(st.lists(st.integers(0, 1000), max_size=8), st.integers(0, 3000))
def test_the_level_takes_from_the_largest_and_wastes_nothing(sizes, most):
    found = level(sizes, most)
    assert sum(min(size, found) for size in sizes) <= max(most, 0)
    if sum(sizes) <= most:
        assert all(size <= found for size in sizes)
    else:
        assert sum(min(size, found + 1) for size in sizes) > most


def test_one_chatty_device_pushes_out_only_what_it_said(database, numbers, tmp_path):
    for name in NAMES[1:]:
        say(database, numbers[name], 20, 1000)
    say(database, numbers["dev0"], 2000, 60_000)
    keeper(database, tmp_path, keep_device_logs_size=1 << 20).round()
    found = held(database, LogRecord, func.length(LogRecord.data))
    assert all(found[numbers[name]] == (20, 20_000) for name in NAMES[1:])
    rows, size = found[numbers["dev0"]]
    assert 0.8 * (1 << 20) < size <= 1 << 20
    with database.read() as session:
        kept = session.scalars(select(LogRecord.seq).where(LogRecord.device_id == numbers["dev0"])).all()
    assert sorted(kept) == list(range(2000 - rows, 2000)), "the newest are kept"


@pytest.mark.parametrize("options", [{"keep_logs_size": 200_000}, {"keep_logs": 200}])
def test_all_devices_together_have_a_bound_that_the_largest_pay(database, numbers, tmp_path, options):
    for place, name in enumerate(NAMES):
        say(database, numbers[name], 5 if place < 5 else 100 * place, 400)
    keep = keeper(database, tmp_path, **options)
    keep.round()
    found = held(database, LogRecord, func.length(LogRecord.data) + retention.ROW_SIZE)
    assert all(found[numbers[name]][0] == 5 for name in NAMES[:5])
    assert sum(size for _, size in found.values()) <= options.get("keep_logs_size", 1 << 40)
    assert sum(rows for rows, _ in found.values()) <= options.get("keep_logs", 1 << 40)
    assert keep.round() == 0, "nothing is above its bound any more"


def test_rounds_count_what_is_new_and_go_on(database, numbers, tmp_path):
    keep = keeper(database, tmp_path, keep_device_logs_size=100_000)
    for _ in range(10):
        say(database, numbers["dev0"], 100, 500)
        say(database, numbers["dev1"], 1, 500)
        keep.round()
        found = held(database, LogRecord, func.length(LogRecord.data) + retention.ROW_SIZE)
        assert found[numbers["dev0"]][1] <= 100_000
    assert found[numbers["dev1"]][0] == 10


def test_a_flapping_device_pushes_out_only_its_own_events(database, numbers, tmp_path):
    with database.write() as session:
        journal.add_event(session, "server.started", "started")
        for name in NAMES:
            journal.add_event(session, "device.online", f"{name} online", device_id=numbers[name])
        flaps = [journal.Entry("device.online", "dev0 online", device_id=numbers["dev0"]) for _ in range(5000)]
        journal.add_events(session, flaps)
    keeper(database, tmp_path, keep_device_events_size=64 << 10).round()
    found = held(database, Event)
    assert found[None][0] == 1
    assert all(found[numbers[name]][0] == 1 for name in NAMES[1:])
    assert 100 < found[numbers["dev0"]][0] < 1000


def test_the_servers_own_events_have_a_bound_too(database, numbers, tmp_path):
    with database.write() as session:
        journal.add_events(session, [journal.Entry("rollout.wave", "x" * 200) for _ in range(2000)])
        journal.add_event(session, "device.online", "dev0 online", device_id=numbers["dev0"])
    keeper(database, tmp_path, keep_events_size=256 << 10).round()
    found = held(database, Event, func.length(Event.text) + retention.ROW_SIZE)
    assert found[None][0] > 100
    assert found[None][1] <= 64 << 10
    assert found[numbers["dev0"]][0] == 1


def test_samples_are_kept_by_device(database, numbers, tmp_path):
    row = {"at_ms": 1, "slot": 0, "counters": {"calls": 1 << 60}}
    with database.write() as session:
        session.execute(insert(Sample), [row | {"device_id": numbers["dev0"]} for _ in range(3000)])
        session.execute(insert(Sample), [row | {"device_id": numbers["dev1"]} for _ in range(10)])
    keeper(database, tmp_path, keep_device_samples_size=50_000).round()
    found = held(database, Sample)
    assert found[numbers["dev1"]][0] == 10
    assert 300 < found[numbers["dev0"]][0] < 700


@pytest.fixture
def rollouts(database, numbers):
    """Ten rollouts that are over, the last one with a device still on its way, and one that runs."""
    with database.write() as session:
        digest = "ab" * 32
        session.add(
            Artifact(digest=digest, size=1, file="a", name="a", signature="trusted", uploaded_by="x", created_ms=1)
        )
        session.flush()
        made = []
        for place in range(12):
            over = 0 < place < 11
            rollout = Rollout(
                name=f"r{place}", phase="completed" if over else "running", digest=digest, slot=0, filter="all",
                created_by="x", created_ms=place, ended_ms=place if over else None,
            )  # fmt: skip
            session.add(rollout)
            session.flush()
            for name in NAMES:
                state = "updating" if place == 1 and name == "dev0" else "succeeded"
                session.add(RolloutDevice(rollout_id=rollout.id, device_id=numbers[name], state=state))
            session.add(TwinJob(rollout_id=rollout.id, digest=digest, state="passed", report=b"x", created_ms=1))
            made.append(rollout.id)
    return made


def left(database):
    with database.read() as session:
        found = set(session.scalars(select(Rollout.id)))
        assert set(session.scalars(select(RolloutDevice.rollout_id))) == found
        assert set(session.scalars(select(TwinJob.rollout_id))) == found
    return found


@pytest.mark.parametrize("options", [{"keep_rollouts": 4}, {"keep_rollout_devices": 45}])
def test_old_rollouts_go_with_all_that_hangs_on_them(database, rollouts, tmp_path, options):
    keeper(database, tmp_path, **options).round()
    busy, running = {rollouts[1]}, {rollouts[0], rollouts[11]}
    assert left(database) == busy | running | set(rollouts[7:11])


def test_rollouts_go_by_age_only_when_asked(database, rollouts, tmp_path):
    keeper(database, tmp_path).round()
    assert len(left(database)) == 12
    keeper(database, tmp_path, keep_rollout_days=1).round()
    assert left(database) == {rollouts[0], rollouts[1], rollouts[11]}


def test_what_ran_out_goes_and_what_is_good_stays(database, tmp_path):
    with database.write() as session:
        user = access.create_user(session, SYSTEM, "ann", Role.ADMIN)
        for number in range(20):
            access.create_token(session, SYSTEM, user, f"t{number}", days=None if number < 5 else 1)
            create_claim(session, SYSTEM, uses=1, days=1, note=f"c{number}")
            session.add(
                BrowserSession(
                    id_hash=f"h{number}", user_id=user.id, csrf="", created_ms=1, expires_ms=1 << 50,
                    seen_ms=(1 << 49) + number,
                )
            )  # fmt: skip
        session.add(
            BrowserSession(id_hash="old", user_id=user.id, csrf="", created_ms=1, expires_ms=1, seen_ms=1 << 49)
        )
        session.execute(Token.__table__.update().where(Token.expires_ms.is_not(None)).values(expires_ms=1))
        session.execute(Claim.__table__.update().where(Claim.note < "c5").values(expires_ms=1))
    keeper(database, tmp_path, keep_expired=3, keep_sessions=4).round()
    with database.read() as session:
        names = set(session.scalars(select(Token.name)))
        assert names == {f"t{number}" for number in (0, 1, 2, 3, 4, 17, 18, 19)}
        notes = set(session.scalars(select(Claim.note)))
        assert {note for note in notes if note >= "c5"} == {f"c{number}" for number in range(5, 10)}
        assert len(notes) == 8
        assert set(session.scalars(select(BrowserSession.id_hash))) == {"h16", "h17", "h18", "h19"}


def test_a_pruned_audit_log_is_still_one_chain_and_a_cut_one_is_not(database, tmp_path):
    with database.write() as session:
        for number in range(100):
            audit.append(session, SYSTEM, "test", str(number))
    with database.read() as session:
        early = session.scalar(select(AuditEntry.hash).where(AuditEntry.id == 5))
        late = session.scalar(select(AuditEntry.hash).where(AuditEntry.id == 95))
    keep = keeper(database, tmp_path, keep_audit=40)
    keep.round()
    with database.read() as session:
        count = session.scalar(select(func.count()).select_from(AuditEntry))
        assert 30 < count <= 40
        verdict = audit.verify(session, late)
        assert (verdict.broken, verdict.why) == (None, "")
        assert verdict.count == audit.head(session)[0]
        assert "pruned" in audit.verify(session, early).why
        first = session.scalar(select(func.min(AuditEntry.id)))
    with database.write() as session:
        session.execute(AuditEntry.__table__.delete().where(AuditEntry.id == first))
    with database.read() as session:
        verdict = audit.verify(session)
        assert verdict.broken == 1
        assert f"1 to {first} are missing" in verdict.why


def test_bounds_are_checked():
    for item in dataclasses.fields(Settings):
        if item.name.startswith("keep_"):
            with pytest.raises(Exception, match=item.name):
                Settings(**{item.name: -1})


def test_the_bounds_on_the_operators_page_are_those_of_the_settings():
    page = (Path(__file__).resolve().parents[2] / "docs" / "operate.md").read_text()
    told = dict(re.findall(r"^\| `WASEL_FLEET_(KEEP_\w+)` \| ([^|]+?) \|", page, re.MULTILINE))
    units = {"KiB": 1 << 10, "MiB": 1 << 20}
    kept = {item.name.upper(): item.default for item in dataclasses.fields(Settings) if item.name.startswith("keep_")}
    read = {}
    for name, text in told.items():
        number, _, unit = text.replace(",", "").partition(" ")
        read[name] = int(number) * units.get(unit, 1)
    assert read == kept
