# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet artifact` and `wasel fleet trust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.commands.options import read_module
from agent.errors import UsageError
from agent.text import size
from fleet.commands.common import Json, Token, Url, client, pairs, show, show_table, when

__all__ = ["artifacts", "trust"]

artifacts = typer.Typer(help="Modules on the server.", no_args_is_help=True)
trust = typer.Typer(help="Whose modules the server takes.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Digest, its beginning, or NAME:VERSION.")]
Layout = Annotated[Path, typer.Argument(metavar="DIR", help="An OCI image layout.")]


@artifacts.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    provenance: Annotated[
        list[str] | None, typer.Option("--provenance", "-p", metavar="K=V", help="source, commit, builder, ...")
    ] = None,
    url: Url = None,
    token: Token = None,
) -> None:
    """Give the server a module; it says the digest, or why it refuses (exit code 2)."""
    told = pairs(provenance)
    answer = client(url, token).request(
        "POST", "/artifacts", content=read_module(file), params={"file": file.name, **told}
    )
    print(answer["digest"])


@artifacts.command("list")
def list_artifacts(
    name: Annotated[str, typer.Option("--name")] = "", json: Json = False, url: Url = None, token: Token = None
) -> None:
    """List artifacts, newest first."""
    rows = client(url, token).get("/artifacts", name=name, limit=1000)["artifacts"]
    if json:
        show(rows)
        return
    show_table(
        ("DIGEST", "NAME", "VERSION", "SEQ", "SIZE", "SIGNED", "BY", "WHEN"),
        [
            (
                row["digest"][:16],
                row["name"],
                row["version"],
                row["sequence"],
                size(row["size"]),
                row["key"][:16] or row["signature"],
                row["uploaded_by"],
                when(row["created_ms"]),
            )
            for row in rows
        ],
    )


@artifacts.command("show")
def show_artifact(reference: Reference, url: Url = None, token: Token = None) -> None:
    """Show an artifact with its manifest and provenance, as JSON."""
    show(client(url, token).get(f"/artifacts/{reference}"))


@artifacts.command()
def download(
    reference: Reference,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE")],
    url: Url = None,
    token: Token = None,
) -> None:
    """Write an artifact's bytes to a file."""
    output.write_bytes(client(url, token).get(f"/artifacts/{reference}/data"))


@artifacts.command()
def remove(reference: Reference, url: Url = None, token: Token = None) -> None:
    """Forget an artifact that nothing speaks of."""
    client(url, token).request("DELETE", f"/artifacts/{reference}")


@artifacts.command("export")
def export_layout(
    reference: Reference,
    directory: Layout,
    tag: Annotated[str, typer.Option("--tag", help="Name in the layout; default: the version.")] = "",
    url: Url = None,
    token: Token = None,
) -> None:
    """Add an artifact to an OCI image layout, for a registry's own tools (oras, skopeo, crane)."""
    from fleet import oci

    server = client(url, token)
    known = server.get(f"/artifacts/{reference}")
    data = server.get(f"/artifacts/{known['digest']}/data")
    print(oci.export(directory, data, known, tag or known["version"] or "latest"))


@artifacts.command("import")
def import_layout(
    directory: Layout,
    tag: Annotated[str, typer.Option("--tag", help="Which one; default: the only one.")] = "",
    url: Url = None,
    token: Token = None,
) -> None:
    """Upload the wasm artifact of an OCI image layout; its annotations become the provenance."""
    from fleet import oci

    found = oci.read(directory, tag)
    answer = client(url, token).request(
        "POST", "/artifacts", content=found.data, params={"file": found.file, **found.provenance}
    )
    print(answer["digest"])


@trust.command("show")
def show_trust(url: Url = None, token: Token = None) -> None:
    """Show whose modules are taken, as JSON."""
    show(client(url, token).get("/trust"))


@trust.command()
def install(file: Annotated[Path, typer.Argument(metavar="ROOT.cbor")], url: Url = None, token: Token = None) -> None:
    """Install a root document (docs/signing.md)."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    answer = client(url, token).request("PUT", "/trust", content=data)
    print(f"root document {answer['root_version']} is trusted")
