# SPDX-License-Identifier: Apache-2.0
"""Routes of artifacts and of whom the server trusts."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from fleet import artifacts, trust
from fleet.access import Principal
from fleet.api.common import Admin, Body, Limit, Operator, TheFleet, Viewer, read_body
from fleet.context import Fleet

__all__ = ["router"]

router = APIRouter(tags=["artifacts"])
ROOT_SIZE = 64 * 1024
WASM = "application/wasm"


class UploadQuery(Body):
    """Name of the file, and where the module comes from (fleet.artifacts.PROVENANCE)."""

    file: Annotated[str, Field(max_length=256)] = "module.wasm"
    source: str = ""
    commit: str = ""
    branch: str = ""
    builder: str = ""
    build: str = ""
    created: str = ""
    licenses: str = ""
    description: str = ""


def take_module(fleet: Fleet, who: Principal, data: bytes, file: str, provenance: dict[str, Any]) -> dict[str, Any]:
    """Check and keep a module; in a thread."""
    artifacts.check_size(len(data), fleet.settings.max_artifact_size)
    with fleet.database.read() as session:
        trusted = trust.load_trust(
            session, fleet.settings.trust_key_paths(), allow_unsigned=fleet.settings.allow_unsigned
        )
    checked = artifacts.check_module(data, file, trusted)
    with fleet.database.write() as session:
        answer = artifacts.view(artifacts.store(session, who, fleet.shelf, checked, file=file, provenance=provenance))
    fleet.bus.post("artifacts", "artifact", {"digest": answer["digest"]})
    return answer


@router.post("/artifacts", status_code=201)
async def upload(
    fleet: TheFleet,
    who: Operator,
    request: Request,
    query: Annotated[UploadQuery, Query()],
) -> dict[str, Any]:
    """Take a module (the body's bytes) and what the query says of where it comes from. 422 says why it is refused."""
    told = query.model_dump(exclude={"file"})
    data = await read_body(request, fleet.settings.max_artifact_size)
    return await asyncio.to_thread(take_module, fleet, who, data, query.file, told)


@router.get("/artifacts")
def list_artifacts(
    fleet: TheFleet, _who: Viewer, name: str = "", limit: Limit = 100, offset: Annotated[int, Query(ge=0)] = 0
) -> dict[str, Any]:
    """List artifacts, newest first."""
    with fleet.database.read() as session:
        found, total = artifacts.list_artifacts(session, name=name, limit=limit, offset=offset)
        return {"artifacts": [artifacts.view(artifact) for artifact in found], "total": total}


@router.get("/artifacts/{reference}")
def read_artifact(fleet: TheFleet, _who: Viewer, reference: str) -> dict[str, Any]:
    """Give an artifact by digest, its beginning, or NAME:VERSION."""
    with fleet.database.read() as session:
        return artifacts.view(artifacts.find(session, reference))


@router.get("/artifacts/{reference}/data")
def read_data(fleet: TheFleet, _who: Viewer, reference: str) -> Response:
    """Give the module's bytes."""
    with fleet.database.read() as session:
        digest = artifacts.find(session, reference).digest
    return Response(
        fleet.shelf.read(digest),
        media_type=WASM,
        headers={"Content-Disposition": f'attachment; filename="{digest[:16]}.wasm"'},
    )


@router.delete("/artifacts/{digest}", status_code=204)
def remove_artifact(fleet: TheFleet, who: Operator, digest: str) -> None:
    """Forget an artifact that nothing speaks of."""
    with fleet.database.write() as session:
        artifacts.remove(session, who, fleet.shelf, digest)


@router.get("/trust")
def read_trust(fleet: TheFleet, _who: Viewer) -> dict[str, Any]:
    """Say whose modules are taken."""
    settings = fleet.settings
    with fleet.database.read() as session:
        root = trust.trusted_root(session)
        trusted = trust.load_trust(session, settings.trust_key_paths(), allow_unsigned=settings.allow_unsigned)
    return {
        "root_version": root.version if root else None,
        "threshold": root.threshold if root else None,
        "keys": [{"id": key.id.hex(), "classes": trusted.classes.get(key.id, ())} for key in trusted.keys],
        "allow_unsigned": trusted.allow_unsigned,
    }


@router.put("/trust")
async def install_root(fleet: TheFleet, who: Admin, request: Request) -> dict[str, Any]:
    """Trust a root document (the body's bytes), signed by enough keys."""
    data = await read_body(request, ROOT_SIZE)

    def install() -> int:
        with fleet.database.write() as session:
            return trust.install_root(session, who, data).version

    return {"root_version": await asyncio.to_thread(install)}
