# SPDX-License-Identifier: Apache-2.0
"""Desired states: what each device's slots should run, and the sequence number that says which order is the newest.

Contract: every change raises the device's sequence above all that it, or its agent, has ever spoken of; it never goes
back. Changes are made for many devices in a few statements. What changed is published by fleet.publisher, which looks
for `desired_sequence > published_sequence`: nothing is lost by a crash between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from agent.errors import MessageError
from agent.messages import Desired
from agent.messages import DesiredSlot as WireSlot
from fleet import artifacts, audit
from fleet.access import Role
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.models import DesiredSlot, Device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from sqlalchemy import Row
    from sqlalchemy.orm import Session

    from fleet.access import Principal

__all__ = ["WANT_COLUMNS", "Want", "clear", "deploy", "message_of", "raise_sequences", "set_slots"]

BATCH = 500
"""Devices in one statement: below every database's limit of parameters."""
MAX_SLOT = 64
WANT_COLUMNS = ("digest", "size", "args", "env", "name")
"""Of DesiredSlot, what the device is told."""


@dataclass(frozen=True)
class Want:
    """What a slot should run."""

    digest: str
    size: int
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    name: str = "module"

    def table(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "digest": self.digest,
            "size": self.size,
            "args": list(self.args),
            "env": list(self.env),
            "name": self.name,
        }

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> Want:
        """Read it back."""
        return cls(table["digest"], table["size"], tuple(table["args"]), tuple(table["env"]), table["name"])

    def check(self) -> None:
        """Raise InvalidError for what an agent would refuse."""
        wire = WireSlot(bytes.fromhex(self.digest), self.size, self.args, self.env, self.name)
        try:
            Desired.parse(Desired(1, {0: wire}).encode())
        except MessageError as error:
            raise InvalidError(str(error)) from error


def _batches(items: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def raise_sequences(session: Session, numbers: Sequence[int]) -> None:
    """Give devices a sequence above all that were spoken of."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    greatest = func.max if is_sqlite else func.greatest
    highest = greatest(Device.desired_sequence, Device.accepted, Device.applied)
    session.execute(
        update(Device).where(Device.id.in_(numbers)).values(desired_sequence=highest + 1),
        execution_options={"synchronize_session": False},
    )


def set_slots(session: Session, slot: int, wants: Mapping[int, Want | None]) -> dict[int, int]:
    """Change one slot of devices (by id; None: it should run nothing); gives the new sequences by id."""
    same: dict[Want | None, list[int]] = {}
    for number in sorted(wants):
        same.setdefault(wants[number], []).append(number)
    sequences: dict[int, int] = {}
    for want, all_numbers in same.items():
        for numbers in _batches(all_numbers):
            if want is None:
                statement: Any = delete(DesiredSlot).where(DesiredSlot.device_id.in_(numbers), DesiredSlot.slot == slot)
            else:
                statement = _put(session, slot, numbers, want)
            session.execute(statement, execution_options={"synchronize_session": False})
            raise_sequences(session, numbers)
            query = select(Device.id, Device.desired_sequence).where(Device.id.in_(numbers))
            sequences |= dict(session.execute(query).all())
    return sequences


def _put(session: Session, slot: int, numbers: Sequence[int], want: Want) -> Any:
    """Give the statement that has devices run something: one, since a row each costs ten times as much."""
    insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    values = {"slot": slot} | want.table()
    types = DesiredSlot.__table__.c
    rows = select(Device.id, *(literal(value, types[name].type) for name, value in values.items()))
    statement = insert(DesiredSlot).from_select(["device_id", *values], rows.where(Device.id.in_(numbers)))
    return statement.on_conflict_do_update(
        index_elements=["device_id", "slot"], set_={name: statement.excluded[name] for name in WANT_COLUMNS}
    )


def _check_slot(slot: int) -> None:
    if not 0 <= slot < MAX_SLOT:
        raise InvalidError(f"slot {slot}: must be from 0 to {MAX_SLOT - 1}")


def deploy(
    session: Session,
    principal: Principal,
    names: Iterable[str],
    reference: str,
    *,
    slot: int = 0,
    args: Sequence[str] = (),
    env: Sequence[str] = (),
) -> dict[str, int]:
    """Have devices run an artifact, at once, without a rollout; gives the sequence of each."""
    principal.must(Role.OPERATOR)
    _check_slot(slot)
    artifact = artifacts.find(session, reference)
    want = Want(artifact.digest, artifact.size, tuple(args), tuple(env), artifact.file)
    want.check()
    return _apply(session, principal, "deploy", names, slot, want)


def clear(session: Session, principal: Principal, names: Iterable[str], slot: int) -> dict[str, int]:
    """Have devices run nothing in a slot; what ran there is stopped."""
    principal.must(Role.OPERATOR)
    _check_slot(slot)
    return _apply(session, principal, "clear", names, slot, None)


def _apply(
    session: Session, principal: Principal, action: str, names: Iterable[str], slot: int, want: Want | None
) -> dict[str, int]:
    ids = _enrolled(session, sorted(set(names)))
    sequences = set_slots(session, slot, dict.fromkeys(ids, want))
    target = next(iter(ids.values())) if len(ids) == 1 else f"{len(ids)} devices"
    detail = {"slot": slot, "devices": list(ids.values())[:20]} | ({"digest": want.digest} if want else {})
    audit.append(session, principal, f"device.{action}", target, detail)
    return {ids[number]: sequence for number, sequence in sequences.items()}


def _enrolled(session: Session, names: Sequence[str]) -> dict[int, str]:
    """Give the names of devices by id. NotFoundError, ConflictError for one that is not enrolled."""
    ids: dict[int, str] = {}
    for start in range(0, len(names), BATCH):
        query = select(Device.id, Device.name, Device.status).where(Device.name.in_(names[start : start + BATCH]))
        found = {row.name: row for row in session.execute(query)}
        for name in names[start : start + BATCH]:
            if name not in found:
                raise NotFoundError(f"device {name!r:.80}: there is none")
            if found[name].status != "enrolled":
                raise ConflictError(f"device {name!r} is {found[name].status}, not enrolled")
            ids[found[name].id] = name
    if not ids:
        raise InvalidError("no device was named")
    return ids


def message_of(sequence: int, slots: Iterable[Row[Any]]) -> bytes:
    """Encode the message that is published; rows have `slot` and WANT_COLUMNS."""
    return Desired(
        sequence,
        {
            row.slot: WireSlot(bytes.fromhex(row.digest), row.size, tuple(row.args), tuple(row.env), row.name)
            for row in slots
        },
    ).encode()


def note_retained(session: Session, held: Mapping[str, int]) -> int:
    """Compare with what the broker holds (sequence by name); gives how many devices are to be published again."""
    behind: list[int] = []
    ahead: list[int] = []
    query = select(Device.id, Device.name, Device.desired_sequence, Device.published_sequence).where(
        Device.desired_sequence > 0, Device.status == "enrolled"
    )
    for number, name, desired, published in session.execute(query):
        sequence = held.get(name, 0)
        if sequence > desired:
            ahead.append(number)
        elif sequence < published:
            behind.append(number)
    for numbers in _batches(behind):
        session.execute(
            update(Device).where(Device.id.in_(numbers)).values(published_sequence=0),
            execution_options={"synchronize_session": False},
        )
    for numbers in _batches(ahead):
        highest = max(held.values())  # somebody else's order: ours has to be above it
        session.execute(
            update(Device).where(Device.id.in_(numbers)).values(accepted=highest),
            execution_options={"synchronize_session": False},
        )
        raise_sequences(session, numbers)
    return len(behind) + len(ahead)
