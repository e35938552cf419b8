# SPDX-License-Identifier: Apache-2.0
"""Modules as wasm artifacts in an OCI image layout, which the tools of registries copy to and from registries.

Written is what the CNCF's guidance for Wasm OCI artifacts says: a manifest with the config
`application/vnd.wasm.config.v0+json` and one layer `application/wasm`, which is the module byte by byte (its digest is
the artifact's digest).

Contract: `read` checks every digest and size before it gives anything; nothing outside the directory is read (blobs are
named by digest). `export` writes blobs before the index that speaks of them. RefusedError: not such a layout.
Source: OCI image-spec 1.1: image-layout.md, manifest.md, annotations.md; CNCF TAG Runtime, Wasm OCI artifact layout.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.errors import RefusedError, UsageError
from agent.files import replace_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "CONFIG_TYPE",
    "INDEX_TYPE",
    "LAYER_TYPE",
    "MANIFEST_TYPE",
    "MAX_JSON",
    "MAX_MODULE",
    "Found",
    "check_blob",
    "descriptor",
    "export",
    "parse_json",
    "read",
    "read_manifest",
    "write_manifest",
]

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.wasm.config.v0+json"
LAYER_TYPE = "application/wasm"
LAYOUT = {"imageLayoutVersion": "1.0.0"}
REF_NAME = "org.opencontainers.image.ref.name"
ANNOTATIONS = {
    "source": "org.opencontainers.image.source",
    "commit": "org.opencontainers.image.revision",
    "created": "org.opencontainers.image.created",
    "licenses": "org.opencontainers.image.licenses",
    "description": "org.opencontainers.image.description",
    "builder": "org.opencontainers.image.vendor",
}
"""Annotations by our key of provenance."""
TITLE = "org.opencontainers.image.title"
MAX_JSON = 1 << 20
MAX_MODULE = 64 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Found:
    """A module in a layout."""

    data: bytes
    file: str
    provenance: dict[str, str] = field(default_factory=dict)


def _blob_path(directory: Path, digest: object) -> Path:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise RefusedError(f"OCI layout: {digest!r:.80} is no sha256 digest")
    return directory / "blobs" / "sha256" / digest.removeprefix("sha256:")


def _read_blob(directory: Path, descriptor: object, most: int) -> bytes:
    if not isinstance(descriptor, dict):
        raise RefusedError("OCI layout: a descriptor is missing")
    digest, size = descriptor.get("digest"), descriptor.get("size")
    path = _blob_path(directory, digest)
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise RefusedError(f"OCI layout: blob {digest} cannot be read: {error.strerror}") from error
    check_blob(data, digest, size, most)
    return data


def check_blob(data: bytes, digest: object, size: object, most: int) -> None:
    """Raise RefusedError unless a blob is what its descriptor says."""
    if len(data) > most or len(data) != size:
        raise RefusedError(f"OCI: blob {digest} has not the {size} bytes that it should, or more than {most}")
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != digest:
        raise RefusedError(f"OCI: blob {digest} has another digest")


def parse_json(data: bytes, what: str) -> dict[str, Any]:
    """Read an object. RefusedError."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise RefusedError(f"OCI: {what} is no JSON") from error
    if not isinstance(value, dict):
        raise RefusedError(f"OCI: {what} is no object")
    return value


def _index(directory: Path) -> dict[str, Any]:
    try:
        layout = parse_json((directory / "oci-layout").read_bytes()[:MAX_JSON], "oci-layout")
        index = parse_json((directory / "index.json").read_bytes()[:MAX_JSON], "index.json")
    except OSError as error:
        raise UsageError(f"{directory}: is no OCI image layout: {error.strerror}") from error
    if layout.get("imageLayoutVersion") != LAYOUT["imageLayoutVersion"]:
        raise RefusedError(f"OCI layout: version {layout.get('imageLayoutVersion')!r:.20}, only 1.0.0 is known")
    if not isinstance(index.get("manifests"), list):
        raise RefusedError("OCI layout: index.json has no manifests")
    return index


def _annotations(value: object) -> dict[str, str]:
    table = value if isinstance(value, dict) else {}
    return {str(key): text for key, text in table.items() if isinstance(text, str)}


def read(directory: Path, tag: str = "") -> Found:
    """Give the module of a layout: the one with that tag, or the only one. RefusedError, UsageError."""
    manifests = [entry for entry in _index(directory)["manifests"] if isinstance(entry, dict)]
    if tag:
        manifests = [entry for entry in manifests if _annotations(entry.get("annotations")).get(REF_NAME) == tag]
    if len(manifests) != 1:
        what = f"{len(manifests)} manifests with tag {tag!r}" if tag else f"{len(manifests)} manifests: name a tag"
        raise UsageError(f"{directory}: has {what}")
    if manifests[0].get("mediaType") != MANIFEST_TYPE:
        raise RefusedError(f"OCI layout: {manifests[0].get('mediaType')!r:.80} is no image manifest")
    manifest = parse_json(_read_blob(directory, manifests[0], MAX_JSON), "the manifest")
    layer, file, told = read_manifest(manifest)
    return Found(_read_blob(directory, layer, MAX_MODULE), file, told)


def read_manifest(manifest: dict[str, Any]) -> tuple[dict[str, Any], str, dict[str, str]]:
    """Give the descriptor of a wasm artifact's layer, its file's name, its provenance. RefusedError: it is none."""
    layers = manifest.get("layers")
    if not isinstance(layers, list) or len(layers) != 1 or not isinstance(layers[0], dict):
        raise RefusedError("OCI: a wasm artifact has exactly one layer")
    if layers[0].get("mediaType") != LAYER_TYPE:
        raise RefusedError(f"OCI: the layer is {layers[0].get('mediaType')!r:.80}, not {LAYER_TYPE}")
    notes = _annotations(manifest.get("annotations"))
    told = {key: notes[name] for key, name in ANNOTATIONS.items() if notes.get(name)}
    title = _annotations(layers[0].get("annotations")).get(TITLE) or notes.get(TITLE) or "module.wasm"
    return layers[0], title.replace("\\", "/").rpartition("/")[2][:256] or "module.wasm", told


def write_manifest(data: bytes, artifact: dict[str, Any]) -> tuple[bytes, bytes]:
    """Make manifest and config of a module."""
    created = dt.datetime.fromtimestamp(artifact["created_ms"] / 1000, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    layer = descriptor(data, LAYER_TYPE) | {"annotations": {TITLE: artifact["file"]}}
    config = _encode({"created": created, "architecture": "wasm", "os": "wasip1", "layerDigests": [layer["digest"]]})
    told = {name: artifact["provenance"][key] for key, name in ANNOTATIONS.items() if artifact["provenance"].get(key)}
    notes = {"org.opencontainers.image.created": created, "org.opencontainers.image.title": artifact["name"]} | told
    if artifact["version"]:
        notes["org.opencontainers.image.version"] = artifact["version"]
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(config, CONFIG_TYPE),
        "layers": [layer],
        "annotations": notes,
    }
    return _encode(manifest), config


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    """Describe a blob."""
    return {"mediaType": media_type, "digest": f"sha256:{hashlib.sha256(data).hexdigest()}", "size": len(data)}


def _write_blob(directory: Path, data: bytes, media_type: str) -> dict[str, Any]:
    described = descriptor(data, media_type)
    path = _blob_path(directory, described["digest"])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        replace_file(path, data)
    return described


def _encode(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def export(directory: Path, data: bytes, artifact: dict[str, Any], tag: str) -> str:
    """Add a module to a layout (made if need be) under a tag; gives the manifest's digest."""
    directory.mkdir(parents=True, exist_ok=True)
    manifest, config = write_manifest(data, artifact)
    _write_blob(directory, data, LAYER_TYPE)
    _write_blob(directory, config, CONFIG_TYPE)
    entry = _write_blob(directory, manifest, MANIFEST_TYPE) | {"annotations": {REF_NAME: tag}}
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}
    if (directory / "index.json").exists():
        index = _index(directory)
    others = [
        known
        for known in index["manifests"]
        if isinstance(known, dict) and _annotations(known.get("annotations")).get(REF_NAME) != tag
    ]
    index["manifests"] = [*others, entry]
    replace_file(directory / "oci-layout", _encode(LAYOUT))
    replace_file(directory / "index.json", _encode(index))
    return str(entry["digest"])
