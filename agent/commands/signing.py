# SPDX-License-Identifier: Apache-2.0
"""Commands for signed modules: keygen, sign, verify, inspect. They work on files alone."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.commands.options import Json, Module, print_json, read_module
from agent.errors import UsageError, WaselError
from agent.text import printable, table

if TYPE_CHECKING:
    from agent.manifest import Manifest

__all__ = ["inspect", "keygen", "sign", "verify"]

KeyFile = Annotated[Path, typer.Option("--key", "-k", metavar="KEY", help="Private key, from `wasel keygen`.")]
PublicKeyFile = Annotated[
    Path, typer.Option("--key", "-k", metavar="KEY.pub", help="Public key that must have signed.")
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="File to write.")]


def write_output(path: Path, data: bytes) -> None:
    """Write a file, old or new."""
    from agent.files import replace_file

    try:
        replace_file(path, data)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error


def keygen(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="KEY", help="File for the private key.")],
) -> None:
    """Make a key pair: KEY (private, readable by you alone) and KEY.pub."""
    from agent.keys import create_key_files, public_path

    key = create_key_files(output)
    print(f"{output}: private key, keep it secret")
    print(f"{public_path(output)}: public key {key.short_id}")


def _manifest(file: Path, data: bytes, path: Path | None) -> Manifest:
    """Give the manifest to sign with: the file's that was named, the module's own, or a plain one."""
    from agent.manifest import Manifest, ManifestError
    from agent.module_file import MANIFEST_SECTION, custom_section, read_sections

    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{path}: is not UTF-8") from error
        try:
            return Manifest.from_toml(text)
        except ManifestError as error:
            raise ManifestError(f"in {path}: {error}") from error
    own = custom_section(data, MANIFEST_SECTION)
    if own is not None:
        start = next(section.start for section in read_sections(data) if section.name == MANIFEST_SECTION)
        return Manifest.from_cbor(own, start)
    name = re.sub(r"[^a-z0-9._-]+", "-", file.stem.lower()).strip("-._") or "module"
    sequence = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())  # seconds since 1970: later ones are higher
    return Manifest(name=name[:64], version="0.0.0", sequence=max(sequence, 1))


def sign(
    file: Module,
    key: KeyFile,
    output: Output,
    manifest: Annotated[
        Path | None, typer.Option("--manifest", "-m", metavar="TOML", help="What the module is and may do.")
    ] = None,
) -> None:
    """Sign a module, with a manifest.

    Without --manifest the module's own one is kept; one that has none gets its file's name and, as sequence number, the
    time.
    """
    from agent.keys import load_private_key
    from agent.signing import sign_module

    private, data = load_private_key(key), read_module(file)
    try:
        chosen = _manifest(file, data, manifest)
        signed = sign_module(data, chosen, private)
    except WaselError as error:
        raise type(error)(f"{file}: {error}") from error
    write_output(output, signed)
    print(
        f"{output}: {chosen.name} {chosen.version}, sequence {chosen.sequence}, {len(signed)} bytes, "
        f"signed by {private.public.short_id}"
    )


def verify(file: Module, key: PublicKeyFile) -> None:
    """Check that a key signed a module; 3 if not, with the reason."""
    from agent.keys import load_public_key
    from agent.signing import verify_module

    public, data = load_public_key(key), read_module(file)
    try:
        signed = verify_module(data, [public])
    except WaselError as error:
        raise type(error)(f"{file}: {error}") from error
    manifest = signed.manifest
    print(f"{file}: {manifest.name} {manifest.version}, sequence {manifest.sequence}, signed by {public.short_id}")


def _print_view(view: dict[str, Any]) -> None:
    counts = [f"{view['functions']} functions", f"{view['globals']} globals"]
    print(f"contains: {', '.join(counts)}")
    for title in ("imports", "exports"):
        for entry in view[title]:
            name = ".".join(entry[key] for key in ("module", "name") if key in entry)
            print(f"{title[:-1]}: {' '.join(filter(None, (entry['kind'], printable(name), entry['type'])))}")
    for title in ("memory", "table"):
        for entry in view["memories" if title == "memory" else "tables"]:
            most = f" to {entry['maximum']}" if "maximum" in entry else " and more"
            unit = f"pages of {entry['page_size']} bytes" if title == "memory" else f"elements of {entry['element']}"
            print(f"{title}: {entry['minimum']}{most} {unit}{', imported' if entry['imported'] else ''}")
    need = view["arena"]
    if need is None:
        print(f"arena: unknown: {printable(view['reason'])}")
        return
    print(f"arena to load: {need['load']} bytes ({need['memory']} memory, {need['stack']} stack)")
    print(f"arena to run: {need['run']} bytes with every function translated ({need['code']}) and no growth")


def inspect(file: Module, json: Json = False) -> None:
    """Show what a module contains and the arena it needs, its manifest and signature; that is not verified."""
    from agent.arena import engine_view
    from agent.manifest import Manifest
    from agent.module_file import MANIFEST_SECTION, SIGNATURE_SECTION, read_sections
    from agent.signing import read_signed

    data = read_module(file)
    try:
        sections = read_sections(data)
        names = [section.name for section in sections]
        manifest = key_id = None
        if SIGNATURE_SECTION in names:
            signed = read_signed(data)
            manifest, key_id = signed.manifest, signed.envelope.key_id
        elif MANIFEST_SECTION in names:
            section = sections[names.index(MANIFEST_SECTION)]
            manifest = Manifest.from_cbor(data[section.content : section.end], section.start)
        stack = (manifest.stack if manifest else None) or 0
        view = engine_view(data, stack_size=stack, metered=bool(manifest and manifest.fuel))
    except WaselError as error:
        raise type(error)(f"{file}: {error}") from error
    values = manifest.table() if manifest else None
    digest = hashlib.sha256(data).digest()
    if json:
        print_json(
            {
                "size": len(data),
                "digest": digest,
                "sections": [
                    {
                        "id": section.id,
                        "name": section.name,
                        "offset": section.start,
                        "size": section.end - section.start,
                    }
                    for section in sections
                ],
                "manifest": values,
                "key": key_id,
                **(view or {"arena": None, "reason": "the engine's part is not installed"}),
            }
        )
        return
    print(f"{file}: {len(data)} bytes, sha256 {digest.hex()}")
    rows = [
        (str(section.id), printable(section.name or ""), f"{section.start:#x}", str(section.end - section.start))
        for section in sections
    ]
    print(table(("section", "name", "offset", "bytes"), rows))
    if view is not None:
        _print_view(view)
    for name, value in (values or {}).items():
        print(f"{name}: {printable(', '.join(map(str, value)) if isinstance(value, list) else str(value))}")
    print(f"signature: by key {key_id.hex()[:16]}, not verified" if key_id else "signature: none")
