# SPDX-License-Identifier: Apache-2.0
"""Artifacts: modules, checked when they come, kept by digest, never changed.

The bytes lie in `<data>/artifacts/<digest>` (shared by all workers), what is known of them in the table. A file is
written whole before its row, so a row always has its file; a file without a row is an upload that failed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, select

from agent.arena import engine_view
from agent.errors import RefusedError
from agent.files import sync_directory
from agent.module_file import read_sections
from fleet import audit
from fleet.access import Role
from fleet.clock import now_ms
from fleet.errors import ConflictError, InvalidError, LimitError, NotFoundError
from fleet.models import Artifact, DesiredSlot, Rollout

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from agent.manifest import Manifest
    from fleet.access import Principal
    from fleet.trust import Trust

__all__ = ["Checked", "Shelf", "check_module", "find", "list_artifacts", "manifest_table", "remove", "store", "view"]

PROVENANCE = ("source", "commit", "branch", "builder", "build", "created", "licenses", "description", "reference")
"""What an uploader may say of where a module comes from."""
MAX_TEXT = 1000
MIN_PREFIX = 8
DIGITS = 64


class Shelf:
    """The folder of the modules."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, digest: str) -> Path:
        """Where a module lies."""
        if len(digest) != DIGITS or not set(digest) <= set("0123456789abcdef"):
            raise InvalidError(f"{digest!r:.80} is no digest")
        return self._folder / digest

    def put(self, data: bytes) -> str:
        """Keep a module; gives its digest. The file is whole and on disk when this returns."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.is_file():
            temporary = path.with_name(f".{digest}.{os.getpid()}.{os.urandom(4).hex()}")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            sync_directory(self._folder)
        return digest

    def read(self, digest: str) -> bytes:
        """Give a module. NotFoundError."""
        try:
            return self.path(digest).read_bytes()
        except FileNotFoundError:
            raise NotFoundError(f"artifact {digest[:12]}: its file is not here") from None

    def drop(self, digest: str) -> None:
        """Remove a module's file."""
        self.path(digest).unlink(missing_ok=True)


@dataclass(frozen=True)
class Checked:
    """A module that may come in."""

    data: bytes
    name: str
    manifest: Manifest | None
    key: bytes | None
    """Id of the key that signed it; None: unsigned."""
    engine: dict[str, Any]
    """The engine's view; empty without an engine here."""


def check_module(data: bytes, file: str, trust: Trust) -> Checked:
    """Check a module's form, signature and what the engine says of it; takes a moment, needs no database.

    Raises:
        RefusedError: it is no module, not rightly signed, or invalid.

    """
    read_sections(data)
    module = trust.check(data)
    manifest = module.manifest if module else None
    view = engine_view(data, stack_size=(manifest.stack if manifest else None) or 0) or {}
    name = manifest.name if manifest else Path(file).name.removesuffix(".wasm")[:64] or "module"
    return Checked(data, name, manifest, module.envelope.key_id if module else None, view)


def manifest_table(manifest: Manifest | None) -> dict[str, Any]:
    """Give a manifest as JSON; what it does not say is left out."""

    def table(value: Any) -> Any:
        if is_dataclass(value):
            pairs = ((item.name, table(getattr(value, item.name))) for item in fields(value))
            return {name: content for name, content in pairs if content not in (None, [], {})}
        return list(value) if isinstance(value, tuple) else value

    return dict(table(manifest)) if manifest else {}


def _plain(value: Any) -> Any:
    """Make an engine's view JSON-able."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _provenance(given: dict[str, Any]) -> dict[str, str]:
    unknown = sorted(set(given) - set(PROVENANCE))
    if unknown:
        raise InvalidError(f"provenance: unknown key {unknown[0]!r:.40}; known are {', '.join(PROVENANCE)}")
    return {key: str(value)[:MAX_TEXT] for key, value in given.items() if value}


def store(
    session: Session,
    principal: Principal,
    shelf: Shelf,
    checked: Checked,
    *,
    file: str = "",
    provenance: dict[str, Any] | None = None,
) -> Artifact:
    """Keep a checked module; the same bytes again are the same artifact."""
    principal.must(Role.OPERATOR)
    told = _provenance(provenance or {})
    digest = hashlib.sha256(checked.data).hexdigest()
    known = session.get(Artifact, digest)
    if known is not None:
        if told and told != known.provenance:
            known.provenance = {**known.provenance, **told}
            audit.append(session, principal, "artifact.provenance", digest, told)
        return known
    manifest = checked.manifest
    if manifest is not None:
        query = select(Artifact.digest).where(
            Artifact.name == manifest.name, Artifact.sequence == manifest.sequence, Artifact.signature == "trusted"
        )
        if (other := session.scalar(query)) is not None:
            raise ConflictError(
                f"{manifest.name}: sequence {manifest.sequence} is taken by {other[:12]}: devices that have one "
                "refuse the other; raise the manifest's sequence"
            )
    shelf.put(checked.data)
    artifact = Artifact(
        digest=digest,
        size=len(checked.data),
        file=Path(file).name[:256] or f"{checked.name}.wasm",
        name=checked.name,
        version=manifest.version if manifest else "",
        sequence=manifest.sequence if manifest else 0,
        device_class=(manifest.device_class or "") if manifest else "",
        manifest=manifest_table(manifest),
        signature="trusted" if checked.key else "unsigned",
        key=checked.key.hex() if checked.key else "",
        view=_plain(checked.engine),
        provenance=told,
        uploaded_by=principal.name,
        created_ms=now_ms(),
    )
    session.add(artifact)
    session.flush()
    detail = {"name": artifact.name, "version": artifact.version, "sequence": artifact.sequence, "key": artifact.key}
    audit.append(session, principal, "artifact.upload", digest, detail | {"size": artifact.size, "provenance": told})
    return artifact


def check_size(size: int, most: int) -> None:
    """Raise LimitError above the limit."""
    if size > most:
        raise LimitError(f"the module has {size} bytes, at most {most} are taken")
    if size == 0:
        raise RefusedError("the module is empty")


def find(session: Session, reference: str) -> Artifact:
    """Give an artifact by digest, by the beginning of one, or by NAME:VERSION. NotFoundError, ConflictError."""
    name, colon, version = reference.partition(":")
    query = select(Artifact)
    if colon:
        query = query.where(Artifact.name == name, Artifact.version == version)
    elif len(reference) >= MIN_PREFIX and set(reference) <= set("0123456789abcdef"):
        query = query.where(Artifact.digest.startswith(reference, autoescape=True))
    else:
        raise NotFoundError(f"artifact {reference!r:.80}: give a digest (or its first 8 digits) or NAME:VERSION")
    found = list(session.scalars(query.limit(2)))
    if not found:
        raise NotFoundError(f"artifact {reference!r:.80}: there is none")
    if len(found) > 1:
        raise ConflictError(f"artifact {reference!r:.80}: there are several; give the digest")
    return found[0]


def list_artifacts(
    session: Session, *, name: str = "", limit: int = 100, offset: int = 0
) -> tuple[list[Artifact], int]:
    """List artifacts, newest first, and their number."""
    query = select(Artifact).order_by(Artifact.created_ms.desc(), Artifact.digest)
    total = select(func.count()).select_from(Artifact)
    if name:
        query, total = query.where(Artifact.name == name), total.where(Artifact.name == name)
    return list(session.scalars(query.limit(limit).offset(offset))), session.scalar(total) or 0


def remove(session: Session, principal: Principal, shelf: Shelf, digest: str) -> None:
    """Forget an artifact that nothing speaks of."""
    principal.must(Role.OPERATOR)
    artifact = find(session, digest)
    if session.scalar(select(DesiredSlot.device_id).where(DesiredSlot.digest == artifact.digest).limit(1)) is not None:
        raise ConflictError(f"artifact {digest[:12]}: devices are to run it")
    if session.scalar(select(Rollout.id).where(Rollout.digest == artifact.digest).limit(1)) is not None:
        raise ConflictError(f"artifact {digest[:12]}: a rollout is about it")
    session.execute(delete(Artifact).where(Artifact.digest == artifact.digest))
    audit.append(session, principal, "artifact.remove", artifact.digest, {"name": artifact.name})
    shelf.drop(artifact.digest)


def view(artifact: Artifact) -> dict[str, Any]:
    """Give an artifact as JSON."""
    columns = ("digest", "size", "file", "name", "version", "sequence", "device_class", "manifest", "signature", "key")
    return {name: getattr(artifact, name) for name in (*columns, "view", "provenance", "uploaded_by", "created_ms")}
