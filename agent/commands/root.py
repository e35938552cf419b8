# SPDX-License-Identifier: Apache-2.0
"""`wasel root`: the document that says which keys sign modules. A change makes the next version, unsigned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.commands.options import DeviceName, PortUrl, open_device
from agent.commands.signing import write_output
from agent.errors import UsageError, WaselError

if TYPE_CHECKING:
    from agent.keys import PublicKey
    from agent.root import RootFile, SigningKey

__all__ = ["root"]

root = typer.Typer(no_args_is_help=True, help="Which keys may sign modules: init, add-key, revoke-key, sign, verify.")

File = Annotated[Path, typer.Argument(metavar="ROOT", help="Root document.")]
Keys = Annotated[list[Path], typer.Option("--key", "-k", metavar="KEY.pub", help="Public key; repeatable.")]


def _load(path: Path) -> RootFile:
    from agent.root import RootFile

    try:
        return RootFile.from_bytes(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except WaselError as error:
        raise type(error)(f"{path}: {error}") from error


def _save(path: Path, file: RootFile) -> None:
    write_output(path, file.to_bytes())
    count = len(file.signers(file.root.roots))
    print(f"{path}: version {file.root.version}, signed by {count} of the {file.root.threshold} that are needed")


@root.command()
def init(
    file: File,
    root_key: Annotated[list[Path], typer.Option("--root-key", metavar="KEY.pub", help="Root key; repeatable.")],
    threshold: Annotated[int, typer.Option("--threshold", min=1, help="Root keys that must sign.")] = 1,
) -> None:
    """Begin a root document with its root keys."""
    from agent.keys import load_public_key
    from agent.root import Root, RootFile

    if file.exists():
        raise UsageError(f"{file}: is there already")
    _save(file, RootFile(Root(1, threshold, tuple(load_public_key(path) for path in root_key), ())))


def _changed(file: RootFile, keys: tuple[SigningKey, ...]) -> RootFile:
    """Give the next version; one that nobody signed yet stays the same version."""
    changed = replace(file.root, keys=keys)
    return file.changed(changed) if file.signatures else replace(file, root=changed)


@root.command("add-key")
def add_key(
    file: File,
    key: Keys,
    device_class: Annotated[
        list[str] | None, typer.Option("--class", metavar="CLASS", help="Device class; repeatable. None: all.")
    ] = None,
) -> None:
    """Let keys sign modules, for some device classes or all."""
    from agent.keys import load_public_key
    from agent.root import SigningKey

    old = _load(file)
    new = tuple(SigningKey(load_public_key(path), tuple(device_class or ())) for path in key)
    added = {item.key.id for item in new}
    _save(file, _changed(old, (*(item for item in old.root.keys if item.key.id not in added), *new)))


@root.command("revoke-key")
def revoke_key(
    file: File,
    key: Keys,
    finish: Annotated[
        bool, typer.Option("--finish", help="Modules of theirs that run may run to their end. Default: stop them.")
    ] = False,
) -> None:
    """Let keys sign no more: what they signed is refused from now on, and stopped where it runs."""
    from agent.keys import load_public_key

    old = _load(file)
    gone: set[PublicKey] = {load_public_key(path) for path in key}
    missing = gone - {item.key for item in old.root.keys}
    if missing:
        raise UsageError(f"{file}: does not list key {missing.pop().short_id}")
    keys = tuple(replace(item, revoked=True, finish=finish) if item.key in gone else item for item in old.root.keys)
    _save(file, _changed(old, keys))


@root.command()
def sign(
    file: File, key: Annotated[list[Path], typer.Option("--key", "-k", metavar="KEY", help="Root key; repeatable.")]
) -> None:
    """Sign with root keys; each holder of one signs in turn."""
    from agent.keys import load_private_key

    signed = _load(file)
    for path in key:
        signed = signed.signed_by(load_private_key(path))
    _save(file, signed)


@root.command()
def verify(
    file: File,
    trusted: Annotated[
        Path | None, typer.Option("--trusted", metavar="ROOT", help="Document that it is to replace.")
    ] = None,
) -> None:
    """Check that enough root keys signed it, its own and those of the document it is to replace."""
    from agent.root import check_root, update_root

    document = _load(file)
    try:
        checked = update_root(check_root(_load(trusted)), document) if trusted else check_root(document)
    except WaselError as error:
        raise type(error)(f"{file}: {error}") from error
    print(f"{file}: version {checked.version}, signed by {checked.threshold} root keys or more")
    for item in checked.keys:
        classes = ", ".join(item.classes) or "all device classes"
        print(f"  {item.key.short_id}  {'revoked' if item.revoked else classes}")


@root.command()
def install(file: File, device: DeviceName = None, port: PortUrl = None) -> None:
    """Give a device a newer root document."""
    import asyncio

    document = _load(file)
    link = open_device(device, port)

    async def work() -> None:
        async with link:
            version = await link.install_root(document.to_bytes())
            print(f"{link.name}: trusts by root version {version}")

    asyncio.run(work())
