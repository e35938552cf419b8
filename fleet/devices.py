# SPDX-License-Identifier: Apache-2.0
"""Devices: listed, tagged, expected, accepted, revoked. How they come: fleet.enrolment; what they run: fleet.deploy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import selectinload

from agent.registry import check_name
from fleet import audit
from fleet.access import Role
from fleet.clock import now_ms
from fleet.errors import ConflictError, InvalidError, NotFoundError
from fleet.filters import compile_filter, parse
from fleet.models import Device, DeviceTag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session

    from fleet.access import Principal
    from fleet.models import DesiredSlot, DeviceSlot

__all__ = [
    "Page",
    "accept",
    "add",
    "check_tags",
    "count",
    "find",
    "list_devices",
    "note",
    "remove",
    "revoke",
    "set_tags",
    "state_of",
    "state_word",
    "view",
]

MAX_TAGS = 64
MAX_VALUE = 256
MAX_PAGE = 1000
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
SERIAL = re.compile(r"[!-~]{1,128}")
BROKEN = ("trapped", "refused")
VIEWED = (
    "name", "serial", "status", "key", "note", "created_ms", "enrolled_ms", "online", "link", "seen_ms", "kernel",
    "version", "image", "arena", "applied", "accepted", "errors", "progress", "desired_sequence", "published_sequence",
    "penalty_until_ms", "failures",
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """A part of a listing."""

    devices: list[Device]
    total: int
    following: str | None
    """Name to ask with as `after`; None: that was all."""


def _all_of(query: Any) -> Any:
    return query.options(selectinload(Device.tags), selectinload(Device.slots), selectinload(Device.desired))


def list_devices(session: Session, text: str = "all", *, after: str = "", limit: int = 100) -> Page:
    """List devices that match a filter, by name, with tags and slots. InvalidError."""
    condition = compile_filter(parse(text))
    limit = max(1, min(limit, MAX_PAGE))
    total = session.scalar(select(func.count()).select_from(Device).where(condition)) or 0
    query = _all_of(select(Device).where(condition, Device.name > after).order_by(Device.name).limit(limit + 1))
    found = list(session.scalars(query))
    following = found[limit - 1].name if len(found) > limit else None
    return Page(found[:limit], total, following)


def count(session: Session, text: str) -> int:
    """Count enrolled devices that match: what a rollout with this filter would reach now."""
    condition = compile_filter(parse(text))
    query = select(func.count()).select_from(Device).where(condition, Device.status == "enrolled")
    return session.scalar(query) or 0


def find(session: Session, name: str) -> Device:
    """Give a device with tags and slots. NotFoundError."""
    device: Device | None = session.scalar(_all_of(select(Device).where(Device.name == name)))
    if device is None:
        raise NotFoundError(f"device {name!r:.80}: there is none")
    return device


def check_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Give tags back. InvalidError for a key or value that cannot be one."""
    if len(tags) > MAX_TAGS:
        raise InvalidError(f"a device has at most {MAX_TAGS} tags")
    for key, value in tags.items():
        if not _KEY.fullmatch(key):
            raise InvalidError(f"tag {key!r:.80}: use letters, digits, '_', '-', '.', at most 64")
        if not isinstance(value, str) or len(value) > MAX_VALUE or not value.isprintable():
            raise InvalidError(f"tag {key}: its value must be a printable text of at most {MAX_VALUE} characters")
    return dict(tags)


def add(
    session: Session,
    principal: Principal,
    name: str,
    *,
    serial: str | None = None,
    key: bytes | None = None,
    tags: Mapping[str, str] | None = None,
    note: str = "",
) -> Device:
    """Make a device known before it comes.

    With a serial it may enrol itself: at once if its public key is given too, otherwise an operator accepts it. Without
    a serial it is taken as enrolled: a broker of one's own knows who it is.
    """
    principal.must(Role.OPERATOR)
    check_name(name)
    if serial is not None and not SERIAL.fullmatch(serial):
        raise InvalidError(f"serial {serial!r:.80}: use printable ASCII characters without spaces, at most 128")
    taken = select(Device.name).where((Device.name == name) | ((Device.serial == serial) & Device.serial.is_not(None)))
    if (other := session.scalar(taken)) is not None:
        raise ConflictError(f"device {name!r}: its name or serial is that of {other!r}")
    now = now_ms()
    device = Device(name=name, serial=serial, key=key.hex() if key else None, note=note[:1000], created_ms=now)
    device.status, device.enrolled_ms = ("enrolled", now) if serial is None else ("expected", None)
    device.tags = [DeviceTag(key=label, value=value) for label, value in check_tags(tags or {}).items()]
    device.slots, device.desired = [], []
    session.add(device)
    session.flush()
    audit.append(session, principal, "device.add", name, {"serial": serial, "tags": dict(tags or {})})
    return device


def set_tags(
    session: Session, principal: Principal, names: Iterable[str], tags: Mapping[str, str], remove: Iterable[str] = ()
) -> int:
    """Add or change tags of devices, take others away; gives the number of devices."""
    principal.must(Role.OPERATOR)
    check_tags(tags)
    removed = list(remove)
    wanted = sorted(set(names))
    known = set(wanted)
    found = {name: number for number, name in session.execute(select(Device.id, Device.name)) if name in known}
    if missing := [name for name in wanted if name not in found]:
        raise NotFoundError(f"device {missing[0]!r:.80}: there is none")
    touched = [*tags, *removed]
    for start in range(0, len(wanted), MAX_PAGE):
        numbers = [found[name] for name in wanted[start : start + MAX_PAGE]]
        session.execute(delete(DeviceTag).where(DeviceTag.device_id.in_(numbers), DeviceTag.key.in_(touched)))
        session.add_all(
            DeviceTag(device_id=number, key=key, value=value) for number in numbers for key, value in tags.items()
        )
        session.flush()
        most = select(func.count()).where(DeviceTag.device_id.in_(numbers)).group_by(DeviceTag.device_id)
        if any(many > MAX_TAGS for many in session.scalars(most)):
            raise InvalidError(f"a device has at most {MAX_TAGS} tags")
    detail = {"set": dict(tags), "removed": removed, "devices": wanted[:20], "count": len(wanted)}
    audit.append(session, principal, "device.tag", wanted[0] if len(wanted) == 1 else f"{len(wanted)} devices", detail)
    return len(wanted)


def note(session: Session, principal: Principal, name: str, text: str) -> Device:
    """Write a note to a device."""
    principal.must(Role.OPERATOR)
    device = find(session, name)
    device.note = text[:1000]
    audit.append(session, principal, "device.note", name, {"note": device.note})
    return device


def accept(session: Session, principal: Principal, name: str) -> Device:
    """Let a device in that came with an expected serial."""
    principal.must(Role.OPERATOR)
    device = find(session, name)
    if device.status != "pending":
        raise ConflictError(f"device {name!r} is {device.status}: only a pending one can be accepted")
    device.status, device.enrolled_ms = "enrolled", now_ms()
    audit.append(session, principal, "device.accept", name, {"key": device.key})
    return device


def revoke(session: Session, principal: Principal, name: str) -> Device:
    """Shut a device out: its password and key no longer count. It can be removed, and then come anew."""
    principal.must(Role.OPERATOR)
    device = find(session, name)
    device.status, device.password_hash, device.online, device.link = "revoked", "", False, False
    audit.append(session, principal, "device.revoke", name, {"key": device.key})
    return device


def remove(session: Session, principal: Principal, name: str) -> None:
    """Forget a device with all that is known of it; only a revoked or expected one."""
    principal.must(Role.ADMIN)
    device = find(session, name)
    if device.status == "enrolled":
        raise ConflictError(f"device {name!r} is enrolled: revoke it first")
    session.execute(delete(Device).where(Device.id == device.id))
    audit.append(session, principal, "device.remove", name, {"serial": device.serial, "key": device.key})


def state_word(*, status: str, online: bool, link: bool, failing: bool, desired_sequence: int, applied: int) -> str:
    """Put a device's state into one word, as the map of states shows it (fleet.overview has it as SQL)."""
    if status != "enrolled":
        return status
    if not online:
        return "offline"
    if failing:
        return "failing"
    if not link:
        return "unreachable"
    return "updating" if desired_sequence > applied else "good"


def state_of(device: Device) -> str:
    """Give a device's state in one word; its slots must be loaded."""
    return state_word(
        status=device.status,
        online=device.online,
        link=device.link,
        failing=bool(device.errors) or any(slot.state in BROKEN for slot in device.slots),
        desired_sequence=device.desired_sequence,
        applied=device.applied,
    )


def view(device: Device) -> dict[str, Any]:
    """Give a device as JSON; tags and slots must be loaded."""
    return {name: getattr(device, name) for name in VIEWED} | {
        "class": device.device_class,
        "state": state_of(device),
        "tags": {tag.key: tag.value for tag in device.tags},
        "slots": [slot_view(slot) for slot in device.slots],
        "desired": [desired_view(slot) for slot in device.desired],
    }


def slot_view(slot: DeviceSlot) -> dict[str, Any]:
    """Give a reported slot as JSON."""
    columns = ("slot", "state", "digest", "size", "starts", "exit", "trap", "error", "memory", "bookkeeping")
    return dict(slot.detail) | {name: getattr(slot, name) for name in (*columns, "changed_ms")}


def desired_view(slot: DesiredSlot) -> dict[str, Any]:
    """Give a desired slot as JSON."""
    return {name: getattr(slot, name) for name in ("slot", "digest", "size", "args", "env", "name")}
