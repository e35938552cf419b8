# SPDX-License-Identifier: Apache-2.0
"""The audit log: who did what, each entry bound to the one before by a hash.

The hash of an entry is SHA-256 over the hash of the entry before (32 bytes; zeros before the first) and the entry's
canonical JSON: `{"action", "actor", "at_ms", "detail", "id", "target"}`, keys in order, no spaces, ASCII. So an entry
that is changed, taken out or put in later breaks the chain from there on; who keeps the last hash elsewhere (`wasel
fleet audit head`) notices also a chain that was made anew or cut at its end.

The oldest entries go when there are more than the settings keep (`prune`). That is an action with an entry of its own,
`audit.prune`, which names the last entry that went and its hash: the chain then begins where that entry says, and one
whose beginning is gone without such an entry is broken.

Contract: `append` runs in the transaction of the action itself: no action without its entry, no entry without its
action. `check` is pure.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, select, text

from fleet.clock import now_ms
from fleet.models import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.orm import Session

    from fleet.access import Principal

__all__ = ["GENESIS", "PRUNED", "Verdict", "append", "check", "entries", "entry_hash", "head", "prune", "verify"]

GENESIS = "0" * 64
ADVISORY_LOCK = 0x77617365
"""PostgreSQL: one appender at a time, until the end of its transaction."""
BATCH = 1000
PRUNED = "audit.prune"


def entry_hash(previous: str, fields: dict[str, Any]) -> str:
    """Hash an entry: `fields` has id, at_ms, actor, action, target, detail."""
    body = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(bytes.fromhex(previous) + body.encode()).hexdigest()


def append(
    session: Session, principal: Principal, action: str, target: str, detail: dict[str, Any] | None = None
) -> AuditEntry:
    """Add an entry in the session's transaction."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
    last = session.execute(select(AuditEntry.id, AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)).first()
    entry = AuditEntry(
        id=last.id + 1 if last else 1,
        at_ms=now_ms(),
        actor=principal.name,
        action=action,
        target=target[:256],
        detail=json.loads(json.dumps(detail or {}, default=str)),
        previous=last.hash if last else GENESIS,
    )
    entry.hash = entry_hash(entry.previous, _fields(entry))
    session.add(entry)
    session.flush()
    return entry


def _fields(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at_ms": entry.at_ms,
        "actor": entry.actor,
        "action": entry.action,
        "target": entry.target,
        "detail": entry.detail,
    }


@dataclass(frozen=True)
class Verdict:
    """What a check of the chain found."""

    count: int
    """Number of the last good entry; those that were pruned are counted, too."""
    head: str
    """Its hash."""
    broken: int | None = None
    """Id of the first entry that is not right."""
    why: str = ""


def check(chain: Iterable[AuditEntry]) -> Verdict:
    """Check entries from the first that is kept on, in order."""
    count, previous = 0, GENESIS
    pruned: tuple[int, str] | None = None
    for entry in chain:
        if pruned is None:
            pruned = (entry.id - 1, entry.previous) if entry.id > 1 else (0, GENESIS)
            count, previous = pruned
        if entry.id != count + 1:
            return Verdict(count, previous, count + 1, f"entry {count + 1} is missing: the next one is {entry.id}")
        if entry.previous != previous:
            return Verdict(count, previous, entry.id, f"entry {entry.id} does not follow the one before")
        if entry_hash(previous, _fields(entry)) != entry.hash:
            return Verdict(count, previous, entry.id, f"entry {entry.id} was changed")
        count, previous = entry.id, entry.hash
        if entry.action == PRUNED and (entry.detail.get("through"), entry.detail.get("hash")) == pruned:
            pruned = (0, GENESIS)  # the log says itself that its beginning went
    if pruned not in (None, (0, GENESIS)):
        return Verdict(0, GENESIS, 1, f"entries 1 to {pruned[0]} are missing, and no entry says that they were pruned")
    return Verdict(count, previous)


def prune(session: Session, principal: Principal, keep: int) -> int:
    """Drop the oldest entries above `keep`, and say so in the log; gives how many went."""
    newest, _ = head(session)
    through = newest - keep
    last = session.scalar(select(AuditEntry).where(AuditEntry.id == through)) if through > 0 else None
    if last is None:
        return 0
    append(session, principal, PRUNED, "audit", {"through": through, "hash": last.hash})
    gone = session.execute(delete(AuditEntry).where(AuditEntry.id <= through))
    return int(gone.rowcount)  # type: ignore[attr-defined]


def verify(session: Session, expected_head: str | None = None) -> Verdict:
    """Check the whole log; `expected_head` (a hash noted earlier) must be one of its hashes."""
    seen = expected_head in (None, GENESIS)
    first = 0

    def walk() -> Iterable[AuditEntry]:
        nonlocal seen, first
        for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=BATCH)):
            first = first or entry.id
            seen = seen or expected_head in (entry.hash, entry.previous)
            yield entry

    verdict = check(walk())
    if verdict.broken is None and not seen:
        why = f"the noted hash is not in the log: it was cut{f', or pruned: it begins at {first}' if first > 1 else ''}"
        return Verdict(verdict.count, verdict.head, verdict.count + 1, why)
    return verdict


def head(session: Session) -> tuple[int, str]:
    """Give number and hash of the last entry: note them elsewhere."""
    last = session.execute(select(AuditEntry.id, AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)).first()
    return (last.id, last.hash) if last else (0, GENESIS)


def entries(
    session: Session,
    *,
    before: int | None = None,
    limit: int = 100,
    actor: str = "",
    action: str = "",
    target: str = "",
) -> list[AuditEntry]:
    """List entries, newest first."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(min(limit, BATCH))
    if before is not None:
        query = query.where(AuditEntry.id < before)
    if actor:
        query = query.where(AuditEntry.actor == actor)
    if action:
        query = query.where(AuditEntry.action.startswith(action, autoescape=True))
    if target:
        query = query.where(AuditEntry.target == target)
    return list(session.scalars(query))
