# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet artifact` and `wasel fleet trust`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import read_module
from agent.errors import UsageError
from agent.login import read_password, tls_context
from agent.text import size
from fleet.commands.common import Json, Token, Url, client, pairs, show, show_table, when

if TYPE_CHECKING:
    from fleet.registry import Registry

__all__ = ["artifacts", "trust"]

artifacts = typer.Typer(help="Modules on the server.", no_args_is_help=True)
trust = typer.Typer(help="Whose modules the server takes.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(metavar="ARTIFACT", help="Digest, its beginning, or NAME:VERSION.")]
Where = Annotated[
    str, typer.Argument(metavar="HOST/REPO[:TAG]|DIR", help="In an OCI registry, or an OCI image layout on disk.")
]
RegistryUser = Annotated[str, typer.Option("--registry-user", metavar="NAME", help="Who we are to the registry.")]
RegistryPassword = Annotated[
    Path | None, typer.Option("--registry-password-file", metavar="FILE", help="Password or token of that user.")
]
RegistryCa = Annotated[
    Path | None, typer.Option("--registry-ca", metavar="PEM", help="The registry's authority; default: the system's.")
]
PlainHttp = Annotated[bool, typer.Option("--plain-http", help="No TLS: for a registry on this machine.")]


@artifacts.command()
def upload(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The module.")],
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
    name: Annotated[str, typer.Option("--name", help="With this name alone.")] = "",
    json: Json = False,
    url: Url = None,
    token: Token = None,
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
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")],
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
def export_artifact(
    reference: Reference,
    where: Where,
    tag: Annotated[str, typer.Option("--tag", help="Name there; default: the version, or latest.")] = "",
    registry_user: RegistryUser = "",
    registry_password: RegistryPassword = None,
    registry_ca: RegistryCa = None,
    plain_http: PlainHttp = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Push an artifact to an OCI registry, or add it to an OCI image layout; prints the manifest's digest."""
    from fleet import oci

    server = client(url, token)
    known = server.get(f"/artifacts/{reference}")
    name = tag or known["version"] or "latest"
    to = _registry(where, registry_user, registry_password, registry_ca, tag=name, plain_http=plain_http)
    data = server.get(f"/artifacts/{known['digest']}/data")
    if to is None:
        print(oci.export(Path(where), data, known, name))
        return
    with to:
        print(to.push(data, known))


@artifacts.command("import")
def import_artifact(
    where: Where,
    tag: Annotated[str, typer.Option("--tag", help="Which one; default: latest, or a layout's only one.")] = "",
    registry_user: RegistryUser = "",
    registry_password: RegistryPassword = None,
    registry_ca: RegistryCa = None,
    plain_http: PlainHttp = False,
    url: Url = None,
    token: Token = None,
) -> None:
    """Upload the wasm artifact of an OCI registry or image layout; its annotations become the provenance."""
    from fleet import oci

    source = _registry(where, registry_user, registry_password, registry_ca, tag=tag, plain_http=plain_http)
    if source is None:
        found = oci.read(Path(where), tag)
    else:
        with source:
            found = source.pull()
    answer = client(url, token).request(
        "POST", "/artifacts", content=found.data, params={"file": found.file, **found.provenance}
    )
    print(answer["digest"])


def _registry(
    where: str, user: str, password: Path | None, ca: Path | None, *, tag: str, plain_http: bool
) -> Registry | None:
    """Give the registry that is meant; None: it is a directory."""
    from fleet.registry import Reference, Registry

    reference = None if Path(where).exists() else Reference.parse(where)
    if reference is None:
        if user or password or ca or plain_http:
            raise UsageError(f"{where}: is no HOST/REPOSITORY[:TAG], and options of a registry were given")
        return None
    if bool(user) != bool(password):
        raise UsageError("--registry-user and --registry-password-file go together")
    if tag and not (reference.tag or reference.digest):
        reference = Reference.parse(f"oci://{reference}:{tag}") or reference
    return Registry(
        reference,
        user=user,
        password=read_password(password) if password is not None else "",
        plain_http=plain_http,
        tls=tls_context(ca) if ca is not None else None,
    )


@trust.command("show")
def show_trust(url: Url = None, token: Token = None) -> None:
    """Show whose modules are taken, as JSON."""
    show(client(url, token).get("/trust"))


@trust.command()
def install(
    file: Annotated[Path, typer.Argument(metavar="ROOT.cbor", help="The signed root document.")],
    url: Url = None,
    token: Token = None,
) -> None:
    """Install a root document (docs/signing.md)."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    answer = client(url, token).request("PUT", "/trust", content=data)
    print(f"root document {answer['root_version']} is trusted")
