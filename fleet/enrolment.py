# SPDX-License-Identifier: Apache-2.0
"""How devices come in: with a claim token, or with a serial that an operator expects. Each has a key of its own.

The agent makes the key pair and signs its request (agent.enroll); what comes in here was verified. A key that is known
renews its password, whatever else it says; a device's name belongs to its key from then on. Claim tokens are 32 random
bytes, kept as SHA-256, used a limited number of times until they expire.

    serial expected with this key  -> enrolled
    serial expected, no key known  -> pending until an operator accepts it, then enrolled
    a good claim token             -> enrolled, with the token's tags
    anything else                  -> DeniedError
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import insert, select

from agent.errors import UsageError
from agent.registry import check_name
from fleet import audit
from fleet.access import SYSTEM, Role, token_hash
from fleet.broker_credentials import new_secret
from fleet.clock import now_ms
from fleet.devices import SERIAL, check_tags
from fleet.errors import ConflictError, DeniedError, InvalidError, NotFoundError
from fleet.models import Claim, Device, DeviceTag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session

    from fleet.access import Principal

__all__ = ["Enrolled", "create_claim", "credentials", "enroll", "enroll_many", "list_claims", "revoke_claim"]

MAX_USES = 100_000
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Enrolled:
    """What a device is told."""

    name: str
    password: str
    """For the broker; empty while it has to wait for an operator."""

    @property
    def pending(self) -> bool:
        """An operator has to accept it."""
        return not self.password


def create_claim(
    session: Session,
    principal: Principal,
    *,
    uses: int = 1,
    days: float = 1.0,
    tags: Mapping[str, str] | None = None,
    note: str = "",
) -> tuple[Claim, str]:
    """Make a claim token and give it: it cannot be read again."""
    principal.must(Role.OPERATOR)
    if not 1 <= uses <= MAX_USES:
        raise InvalidError(f"a claim token is for 1 to {MAX_USES} devices")
    token = secrets.token_urlsafe(32)
    now = now_ms()
    claim = Claim(
        token_hash=token_hash(token),
        note=note[:1000],
        tags=check_tags(tags or {}),
        max_uses=uses,
        expires_ms=now + int(days * DAY_MS),
        created_by=principal.name,
        created_ms=now,
    )
    session.add(claim)
    session.flush()
    audit.append(session, principal, "claim.create", str(claim.id), {"uses": uses, "days": days, "tags": claim.tags})
    return claim, token


def list_claims(session: Session) -> list[Claim]:
    """List claim tokens, newest first."""
    return list(session.scalars(select(Claim).order_by(Claim.id.desc()).limit(1000)))


def revoke_claim(session: Session, principal: Principal, number: int) -> None:
    """End a claim token."""
    principal.must(Role.OPERATOR)
    claim = session.get(Claim, number)
    if claim is None:
        raise NotFoundError(f"claim {number}: there is none")
    claim.revoked = True
    audit.append(session, principal, "claim.revoke", str(number))


def enroll(
    session: Session,
    *,
    key: bytes,
    name: str | None = None,
    serial: str | None = None,
    claim: str | None = None,
    time_s: int = 0,
    nonce: bytes = b"",
) -> Enrolled:
    """Let a device in whose request was verified to be signed by `key`. DeniedError."""
    if serial is not None and not SERIAL.fullmatch(serial):
        raise DeniedError("serial: must be printable ASCII without spaces, at most 128 characters")
    device = session.scalar(select(Device).where(Device.key == key.hex()))
    if device is None and serial is not None:
        device = _by_serial(session, serial, key)
    if device is None and claim is not None:
        device = _by_claim(session, claim, key, name, serial)
    if device is None:
        raise DeniedError("this device is not expected: give it a claim token, or have its serial added")
    if device.enroll_time_s and (time_s < device.enroll_time_s or nonce.hex() == device.enroll_nonce):
        raise DeniedError(f"device {device.name}: an old request; ask anew (is the clock right?)")
    device.enroll_time_s, device.enroll_nonce = time_s, nonce.hex()
    if device.status == "revoked":
        raise DeniedError(f"device {device.name} was revoked")
    if device.status == "expected":  # the operator gave this key with the serial
        device.status, device.enrolled_ms = "enrolled", now_ms()
    if device.status == "pending":
        return Enrolled(device.name, "")
    secret = new_secret()
    device.password_hash = secret.hash
    audit.append(session, SYSTEM, "device.enroll", device.name, {"serial": device.serial, "key": device.key})
    return Enrolled(device.name, secret.password)


def _by_serial(session: Session, serial: str, key: bytes) -> Device | None:
    device = session.scalar(select(Device).where(Device.serial == serial))
    if device is None:
        return None
    if device.key is not None:  # another one: this one's own would have been found
        raise DeniedError(f"serial {serial} belongs to another key")
    device.key, device.status = key.hex(), "pending"
    audit.append(session, SYSTEM, "device.pending", device.name, {"serial": serial, "key": device.key})
    return device


def _by_claim(session: Session, token: str, key: bytes, name: str | None, serial: str | None) -> Device:
    secret = token.partition(".")[0]  # what follows the dot tells the agent whom to trust
    query = select(Claim).where(Claim.token_hash == token_hash(secret)).with_for_update()
    claim = session.scalar(query)
    now = now_ms()
    if claim is None or claim.revoked or claim.expires_ms < now or claim.uses >= claim.max_uses:
        raise DeniedError("the claim token is unknown, used up, revoked or expired")
    wanted = name or f"dev-{hashlib.sha256(key).hexdigest()[:12]}"
    try:
        check_name(wanted)
    except UsageError as error:
        raise DeniedError(str(error)) from error
    if session.scalar(select(Device.id).where(Device.name == wanted)) is not None:
        raise DeniedError(f"the name {wanted} is that of another device")
    claim.uses += 1
    device = Device(name=wanted, serial=serial, key=key.hex(), status="enrolled", created_ms=now, enrolled_ms=now)
    device.tags = [DeviceTag(key=label, value=value) for label, value in claim.tags.items()]
    session.add(device)
    session.flush()
    return device


def enroll_many(
    session: Session, principal: Principal, names: Iterable[str], tags: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Make many devices known at once (simulated ones); gives the password of each."""
    principal.must(Role.ADMIN)
    wanted = [check_name(name) for name in names]
    labels = check_tags(tags or {})
    taken = set(session.scalars(select(Device.name))) & set(wanted)
    if taken or len(set(wanted)) != len(wanted):
        raise ConflictError(f"device {min(taken, default='')!r}: the name is taken, or comes twice")
    now = now_ms()
    secret = {name: new_secret() for name in wanted}
    rows = [
        {"name": name, "status": "enrolled", "created_ms": now, "enrolled_ms": now, "password_hash": secret[name].hash}
        for name in wanted
    ]
    if rows:
        session.execute(insert(Device), rows)
    if labels:
        numbers = {name: number for number, name in session.execute(select(Device.id, Device.name))}
        session.execute(
            insert(DeviceTag),
            [
                {"device_id": numbers[name], "key": key, "value": value}
                for name in wanted
                for key, value in labels.items()
            ],
        )
    audit.append(
        session, principal, "device.enroll_many", f"{len(wanted)} devices", {"first": wanted[:1], "tags": labels}
    )
    return {name: item.password for name, item in secret.items()}


def credentials(session: Session) -> dict[str, str]:
    """Give the hash of each enrolled device's password: for the broker."""
    query = select(Device.name, Device.password_hash).where(Device.status == "enrolled", Device.password_hash != "")
    return dict(session.execute(query).all())
