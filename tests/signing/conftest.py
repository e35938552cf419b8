# SPDX-License-Identifier: Apache-2.0
"""Fixtures: keys, a root document and the device's verifier, built once; fresh processes per test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from agent.keys import PrivateKey, generate_key
from agent.manifest import Manifest
from agent.module_file import append_section
from agent.root import Root, SigningKey
from agent.signing import sign_module
from tests.signing.verifier import ACCEPTED, Verifier, build_verifier
from tests.supervisor.device import Device, build_driver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# (module) with one custom section: what the engine would make of it does not matter here
MODULE = append_section(b"\0asm\1\0\0\0", "notes", bytes(range(64)))


def manifest(**fields: object) -> Manifest:
    values: dict[str, object] = {"name": "probe", "version": "1.2.3", "sequence": 7, "device_class": "qemu-virt"}
    return Manifest(**(values | fields))  # type: ignore[arg-type]


@dataclass(frozen=True)
class World:
    """Who is who: two root keys of three sign, one key for this class, one for another, one revoked, one unknown."""

    roots: tuple[PrivateKey, ...]
    key: PrivateKey
    elsewhere: PrivateKey
    revoked: PrivateKey
    stranger: PrivateKey

    @property
    def root(self) -> Root:
        return Root(
            version=3,
            threshold=2,
            roots=tuple(key.public for key in self.roots),
            keys=(
                SigningKey(self.key.public, ("edge-box", "qemu-virt")),
                SigningKey(self.elsewhere.public, ("edge-box",)),
                SigningKey(self.revoked.public, revoked=True),
            ),
        )

    def sign(self, module: bytes = MODULE, /, key: PrivateKey | None = None, **fields: object) -> bytes:
        return sign_module(module, manifest(**fields), key or self.key)


@pytest.fixture(scope="session")
def world() -> World:
    roots = (generate_key(), generate_key(), generate_key())
    return World(roots, generate_key(), generate_key(), generate_key(), generate_key())


@pytest.fixture(scope="session")
def verifier_program() -> Path:
    return build_verifier()


@pytest.fixture
def verifier(verifier_program: Path, world: World) -> Iterator[Verifier]:
    """The verifier of a release image."""
    running = Verifier.start(verifier_program)
    assert running.load(world.root.payload()) == ACCEPTED
    yield running
    assert running.stop() == 0, "the verifier ended with an error: see its sanitizer report"


@pytest.fixture
def release_device(world: World, tmp_path: Path) -> Iterator[Device]:
    """The whole supervisor of a release image."""
    root = tmp_path / "root"
    root.write_bytes(world.root.payload())
    running = Device.start(build_driver(), str(root))
    yield running
    assert running.stop() == 0
