# SPDX-License-Identifier: Apache-2.0
"""What agents report of their devices (`state`), merged into the database: many devices in a few statements.

Which of several reports counts: of the same agent process (`boot`) the one with the highest number; of another process
the one that came last. A will (number 0) says that its process is gone, and nothing else: it counts only while that
process is the latest one known.

Contract: `newest` is pure. `merge` runs in a session of its caller; devices that are not enrolled are passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from agent.errors import MessageError
from agent.messages import ID_SIZE, State
from fleet.deploy import BATCH, raise_sequences
from fleet.devices import BROKEN, state_word
from fleet.journal import Entry, add_events
from fleet.models import Device, DeviceSlot

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sqlalchemy.orm import Session

    from agent.messages import SlotReport

__all__ = ["Merged", "merge", "newest"]

COLUMNS = (
    "id", "name", "status", "boot", "report", "online", "link", "kernel", "version", "image", "device_class", "arena",
    "applied", "accepted", "errors", "desired_sequence",
)  # fmt: skip
MAX_EXIT = 1 << 31
TOLD = {"kernel": 64, "version": 64, "image": 64, "device_class": 32}
"""Texts that are kept until another one is reported, and the characters that their columns hold."""


@dataclass
class Merged:
    """What came of it."""

    words: dict[str, str] = field(default_factory=dict)
    """State in one word, of the devices that changed, by name."""
    unknown: set[str] = field(default_factory=set)
    """Names that are no enrolled device's."""
    raised: bool = False
    """Desired states got a higher sequence: they are to be published."""
    malformed: int = 0


NO_BOOT = bytes(ID_SIZE)


def _counts(boot: str, number: int, its_boot: bytes, its_number: int) -> bool:
    """Tell whether a report counts after that one."""
    if its_boot == NO_BOOT and its_number == 0:
        return True  # an agent that does not number its reports
    if its_number == 0:
        return its_boot.hex() == boot
    return its_boot.hex() != boot or its_number > number


def newest(boot: str, number: int, bodies: Sequence[bytes]) -> tuple[State | None, bool, int]:
    """Give the report that counts of those that came, in their order; whether its process is gone; how many are bad.

    Of the others only `boot` and `report` are read.
    """
    places: list[tuple[bytes, bytes, int]] = []
    malformed = 0
    for body in bodies:
        try:
            places.append((body, *State.place(body)))
        except MessageError:
            malformed += 1
    while True:  # once, and once more for each that turns out to be malformed further on
        found, gone, last_boot, last_number = None, False, boot, number
        for at, (_, its_boot, its_number) in enumerate(places):
            if not _counts(last_boot, last_number, its_boot, its_number):
                continue
            if its_number == 0 and its_boot != NO_BOOT:
                gone = True
            else:
                found, gone, last_boot, last_number = at, False, its_boot.hex(), its_number
        if found is None:
            return None, gone, malformed
        try:
            return State.parse(places[found][0]), gone, malformed
        except MessageError:
            malformed += 1
            del places[found]


def merge(session: Session, reports: Mapping[str, Sequence[bytes]], now_ms: int) -> Merged:
    """Merge the reports that came, by device name."""
    merged = Merged()
    names = sorted(reports)
    for start in range(0, len(names), BATCH):
        _merge_batch(session, {name: reports[name] for name in names[start : start + BATCH]}, now_ms, merged)
    return merged


def _merge_batch(session: Session, reports: dict[str, Sequence[bytes]], now_ms: int, merged: Merged) -> None:
    columns = [getattr(Device, name) for name in COLUMNS]
    rows = {row.name: row for row in session.execute(select(*columns).where(Device.name.in_(reports)))}
    merged.unknown |= {name for name in reports if name not in rows or rows[name].status != "enrolled"}
    known = {name: row for name, row in rows.items() if row.status == "enrolled"}
    slots = _load_slots(session, [row.id for row in known.values()])
    updates: list[dict[str, Any]] = []
    changed_slots: list[dict[str, Any]] = []
    events: list[Entry] = []
    raised: list[int] = []
    for name, row in known.items():
        state, gone, malformed = newest(row.boot, row.report, reports[name])
        merged.malformed += malformed
        before = slots.get(row.id, {})
        if state is None and not gone:
            continue
        values = _values(row, state, gone=gone, now_ms=now_ms)
        updates.append(values)
        fresh = _slot_rows(row.id, state, before, now_ms) if state is not None else []
        changed_slots += fresh
        events += _events(row, values, before, fresh, now_ms)
        if row.desired_sequence and values["accepted"] > row.desired_sequence:
            raised.append(row.id)
        now_slots = before | {entry["slot"]: entry for entry in fresh}
        merged.words[name] = state_word(
            status=row.status,
            online=values["online"],
            link=values["link"],
            failing=bool(values["errors"]) or any(entry["state"] in BROKEN for entry in now_slots.values()),
            desired_sequence=row.desired_sequence,
            applied=values["applied"],
        )
    _write(session, updates, changed_slots)
    add_events(session, events)
    if raised:
        raise_sequences(session, raised)
        merged.raised = True


def _load_slots(session: Session, numbers: list[int]) -> dict[int, dict[int, dict[str, Any]]]:
    table = DeviceSlot.__table__
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for row in session.execute(select(table).where(table.c.device_id.in_(numbers))).mappings():
        found.setdefault(row["device_id"], {})[row["slot"]] = dict(row)
    return found


def _values(row: Any, state: State | None, *, gone: bool, now_ms: int) -> dict[str, Any]:
    """Give the new columns of a device."""
    names = (
        "boot", "report", "online", "link", "kernel", "version", "image", "device_class", "arena", "applied",
        "accepted", "errors",
    )  # fmt: skip
    values = {name: getattr(row, name) for name in names} | {"progress": {}}
    if state is not None:
        values |= {
            "boot": state.boot.hex(),
            "report": state.report,
            "online": state.online,
            "link": state.online and state.link,
            "applied": state.sequence,
            "accepted": max(state.accepted, state.sequence),
            "errors": {str(slot): _clean(text) for slot, text in state.errors.items()},
            "progress": {
                str(slot): {"digest": way.digest.hex(), "offset": way.offset, "size": way.size, "phase": way.phase}
                for slot, way in state.progress.items()
            },
        }
        told = {name: _clean(getattr(state, name))[:most] for name, most in TOLD.items()}
        values |= {name: text for name, text in told.items() if text}
        values["arena"] = state.arena or values["arena"]
    if gone:
        values |= {"online": False, "link": False}
    return values | {"number": row.id, "seen_ms": now_ms}


def _slot_rows(number: int, state: State, before: dict[int, dict[str, Any]], now_ms: int) -> list[dict[str, Any]]:
    """Give the slots that are not as before."""
    rows = []
    for report in state.slots:
        row = _slot_row(number, report)
        was = before.get(report.slot)
        if was is not None and all(was[name] == value for name, value in row.items()):
            continue
        moved = was is None or any(was[name] != row[name] for name in ("state", "digest", "starts"))
        rows.append(row | {"changed_ms": now_ms if moved or was is None else was["changed_ms"]})
    return rows


def _clean(text: str) -> str:
    """Take NUL out of a text: PostgreSQL has none."""
    return text.replace("\0", "\ufffd")


def _slot_row(number: int, report: SlotReport) -> dict[str, Any]:
    detail = {
        "confirmed": report.confirmed,
        "signed": report.signed,
        "name": report.name,
        "version": report.version,
        "release": report.release,
        "key": report.key.hex() if report.key else None,
        "reason": report.reason,
        "budget": report.budget,
        "period_us": report.period_us,
        "backtrace": report.backtrace,
    }
    return {
        "device_id": number,
        "slot": report.slot,
        "state": report.state,
        "digest": report.digest.hex() if report.digest else None,
        "size": report.size,
        "starts": report.starts,
        "exit": report.exit,
        "trap": _clean(report.trap) if report.trap is not None else None,
        "error": _clean(report.error) if report.error is not None else None,
        "memory": report.memory,
        "bookkeeping": report.bookkeeping,
        "detail": {name: value for name, value in detail.items() if value is not None},
    }


def _events(
    row: Any, values: dict[str, Any], before: dict[int, dict[str, Any]], fresh: Iterable[dict[str, Any]], now_ms: int
) -> list[Entry]:
    """Say what is worth a line in the journal."""
    events = []

    def add(kind: str, severity: str, text: str, **data: Any) -> None:
        events.append(Entry(kind, text, severity, row.id, None, {"device": row.name, **data}, now_ms))

    if values["online"] != row.online:
        kind = "device.online" if values["online"] else "device.offline"
        add(kind, "info" if values["online"] else "warning", f"{row.name} is {kind.partition('.')[2]}")
    elif values["online"] and values["link"] != row.link:
        text = "answers" if values["link"] else "does not answer its agent"
        add("device.link", "info" if values["link"] else "warning", f"{row.name} {text}")
    for slot, text in values["errors"].items():
        if row.errors.get(slot) != text:
            add("device.error", "error", f"{row.name}: slot {slot}: {text}", slot=int(slot), error=text)
    for slot in fresh:
        was = before.get(slot["slot"], {})
        where = f"{row.name}: slot {slot['slot']}"
        if slot["digest"] and slot["digest"] != was.get("digest"):
            add("device.module", "info", f"{where} has {slot['digest'][:12]}", slot=slot["slot"], digest=slot["digest"])
        again = slot["state"] != was.get("state") or slot["starts"] != was.get("starts")
        if slot["state"] in BROKEN and again:
            why = slot["trap"] or slot["error"] or slot["state"]
            add(f"device.{slot['state']}", "error", f"{where}: {why}", slot=slot["slot"], error=why)
        elif slot["state"] == "exited" and again and slot["exit"]:
            add("device.exited", "warning", f"{where}: exit code {slot['exit']}", slot=slot["slot"], exit=slot["exit"])
    return events


def _write(session: Session, updates: list[dict[str, Any]], slots: list[dict[str, Any]]) -> None:
    table = Device.__table__
    if updates:
        names = sorted(set(updates[0]) - {"number"})
        statement = (
            update(table)  # type: ignore[arg-type]
            .where(table.c.id == bindparam("number"))
            .values({name: bindparam(name) for name in names})
        )
        session.execute(statement, updates)
    if slots:
        insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
        upsert = insert(DeviceSlot)
        names = sorted(set(slots[0]) - {"device_id", "slot"})
        upsert = upsert.on_conflict_do_update(
            index_elements=["device_id", "slot"], set_={name: upsert.excluded[name] for name in names}
        )
        session.execute(upsert, slots)
