# SPDX-License-Identifier: Apache-2.0
"""The software bill of materials: what is in a device's image and beside an agent, as CycloneDX 1.6 in JSON.

Contract: made from what the build itself uses: requirements.lock (versions and hashes of every Python package, the
compiler among them) and the pinned C sources. The same inputs give the same bytes: there is no time and no
random number in it. Kernel and libmicrokit of a device on genuine seL4 are the SDK's, which brings its own licences.

Does NOT: look into the machine that it runs on.
Source: CycloneDX 1.6, https://cyclonedx.org/docs/1.6/json/; package URLs, https://github.com/package-url/purl-spec.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_engine.zig import ROOT
from sel4_bridge.javascript import QUICKJS
from sel4_bridge.littlefs import LITTLEFS

if TYPE_CHECKING:
    from sel4_bridge.sdist import Sdist

__all__ = ["LOCK", "Package", "bill", "locked_packages"]

LOCK = ROOT / "requirements.lock"
VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)(?:\[[a-z0-9,_-]+\])?==([^ ;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
ON_DEVICE = {"ziglang": "compiler; its standard library's Ed25519 and SHA-256 are in the image"}
"""Packages of the lock that leave something in an image."""

SOURCES = (
    (LITTLEFS, "littlefs (BSD-3-Clause), file system of the store domain: compiled into the image"),
    (QUICKJS, "QuickJS (MIT): compiled into modules that are made from JavaScript"),
)


@dataclass(frozen=True)
class Package:
    """One locked package; the hashes are of all its files, for all systems."""

    name: str
    version: str
    hashes: tuple[str, ...]


def locked_packages(text: str) -> list[Package]:
    """Read requirements.lock, sorted by name; ValueError for a package without a hash."""
    found: list[Package] = []
    for line in re.sub(r"\\\n\s+", " ", text).splitlines():
        match = PIN.match(line)
        if match is None:
            continue
        hashes = tuple(HASH.findall(line))
        if not hashes:
            raise ValueError(f"{match[1]}: no hash in the lock")
        found.append(Package(match[1], match[2], hashes))
    return sorted(found, key=lambda package: package.name)


def _component(name: str, version: str, hashes: tuple[str, ...], **more: Any) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{version}"
    # CycloneDX's `hashes` are of one file; a package of the lock has several, any of which may have been installed.
    files = [{"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": each}]} for each in hashes]
    return {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
        "externalReferences": files,
        **more,
    }


def _sources(sdist: Sdist, what: str) -> dict[str, Any]:
    """Describe C files out of a pinned source package."""
    return {
        "type": "library",
        "bom-ref": f"sources of {sdist.project}",
        "name": f"sources of {sdist.project}",
        "version": sdist.version,
        "purl": f"pkg:pypi/{sdist.project}@{sdist.version}?file_name={sdist.stem}.tar.gz",
        "hashes": [{"alg": "SHA-256", "content": sdist.sha256}],
        "scope": "required",
        "description": what,
    }


def bill(lock: str, project: str) -> dict[str, Any]:
    """Give the document; `lock` and `project` are the texts of requirements.lock and pyproject.toml."""
    match = VERSION.search(project)
    if match is None:
        raise ValueError("pyproject.toml: no version")
    components = []
    for package in locked_packages(lock):
        more: dict[str, Any] = {"scope": "optional"}
        if package.name in ON_DEVICE:
            more = {"scope": "required", "description": ON_DEVICE[package.name]}
        components.append(_component(package.name, package.version, package.hashes, **more))
    sources = [_sources(sdist, what) for sdist, what in SOURCES]
    ours = {"type": "firmware", "bom-ref": "wasel", "name": "wasel", "version": match[1]}
    body: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {**ours, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": [*sources, *components],
        "dependencies": [{"ref": "wasel", "dependsOn": sorted(each["bom-ref"] for each in [*sources, *components])}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "serialNumber": f"urn:uuid:{serial}", **body}


def main() -> int:
    """`python -m sel4_bridge.sbom [-o FILE]`; without, on stdout."""
    parser = argparse.ArgumentParser(description="Write the software bill of materials (CycloneDX 1.6, JSON).")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    lock, project = LOCK.read_text(encoding="utf-8"), (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    text = json.dumps(bill(lock, project), indent=2) + "\n"
    if options.output is None:
        sys.stdout.write(text)
    else:
        options.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
