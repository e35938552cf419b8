# SPDX-License-Identifier: Apache-2.0
"""Whose modules the server takes: the keys of the root document that an admin installed, and those of its settings.

The first root document needs a threshold of its own root keys, each later one also a threshold of the trusted ones
(agent.root, as a device decides). The devices decide for themselves again: this is only so that nobody rolls out what
they would refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select

from agent.errors import RefusedError
from agent.keys import load_public_key
from agent.root import RootFile, check_root, update_root
from agent.signing import SignedModule, UnsignedError, UntrustedKeyError, verify_module
from fleet import audit
from fleet.access import Role
from fleet.clock import now_ms
from fleet.models import TrustDocument

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy.orm import Session

    from agent.keys import PublicKey
    from agent.root import Root
    from fleet.access import Principal

__all__ = ["Trust", "install_root", "load_trust", "trusted_root"]


@dataclass(frozen=True)
class Trust:
    """Keys that sign modules."""

    keys: tuple[PublicKey, ...]
    classes: dict[bytes, tuple[str, ...]]
    """By key id: the device classes that it may sign for; none: all."""
    allow_unsigned: bool

    def check(self, data: bytes) -> SignedModule | None:
        """Give the verified module; None if it is unsigned and that is allowed.

        Raises:
            RefusedError: malformed, unsigned, by a key that is not trusted, or not the bytes that were signed.

        """
        try:
            module = verify_module(data, self.keys)
        except UnsignedError:
            if self.allow_unsigned:
                return None
            raise
        classes = self.classes.get(module.envelope.key_id, ())
        if classes and module.manifest.device_class not in classes:
            raise UntrustedKeyError(
                f"signature: its key signs for {', '.join(classes)} only, the manifest's device_class is "
                f"{module.manifest.device_class or 'not set'}"
            )
        return module


def trusted_root(session: Session) -> Root | None:
    """Give the root document that counts."""
    row = session.scalar(select(TrustDocument).order_by(TrustDocument.version.desc()).limit(1))
    return RootFile.from_bytes(row.document).root if row else None


def install_root(session: Session, principal: Principal, document: bytes) -> Root:
    """Trust a root document. RefusedError: not signed by enough keys, or not newer."""
    principal.must(Role.ADMIN)
    file = RootFile.from_bytes(document)
    trusted = trusted_root(session)
    root = update_root(trusted, file) if trusted else check_root(file)
    session.add(
        TrustDocument(version=root.version, document=document, installed_by=principal.name, created_ms=now_ms())
    )
    session.flush()
    keys = [item.key.short_id for item in root.keys]
    audit.append(session, principal, "trust.install", f"root document {root.version}", {"keys": keys})
    return root


def load_trust(session: Session, paths: tuple[Path, ...], *, allow_unsigned: bool) -> Trust:
    """Put together the root document's keys and those in files."""
    root = trusted_root(session)
    extra = [load_public_key(path) for path in paths]
    items = [item for item in root.keys if not item.revoked] if root else []
    revoked = {item.key.id for item in root.keys if item.revoked} if root else set()
    if bad := [key for key in extra if key.id in revoked]:
        raise RefusedError(f"key {bad[0].short_id} is in the server's settings, but the root document revokes it")
    known = {item.key.id for item in items}
    keys = (*(item.key for item in items), *(key for key in extra if key.id not in known))
    return Trust(keys, {item.key.id: item.classes for item in items}, allow_unsigned)
