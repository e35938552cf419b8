# SPDX-License-Identifier: Apache-2.0
"""A release image and a development image under QEMU: what they run, what they refuse, what power takes away."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.errors import DeniedError
from agent.keys import load_private_key
from agent.link.device import Device as Link
from agent.manifest import Policy
from agent.root import RootFile, SigningKey
from qemu.launcher import start_device
from sel4_bridge.build import DEVELOPMENT_KEY, build_device
from tests.signing.attacks import CONFIRMED, Attack, attacks
from tests.signing.verifier import REFUSALS
from tests.system import modules as m
from tests.system.conftest import image_of, install, run_module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.signing.conftest import World

pytestmark = pytest.mark.system

SHOWS_ITS_RIGHTS = r"""
#include <stdio.h>
#include <stdlib.h>
int main(void) {
    FILE *file = fopen("/data/note", "w");
    printf("MODE=%s WHO=%s data=%s\n", getenv("MODE"), getenv("WHO"), file != NULL ? "open" : "closed");
    file = fopen("/etc/note", "w");
    printf("etc=%s memory=%zu\n", file != NULL ? "open" : "closed", __builtin_wasm_memory_grow(0, 64));
    return 0;
}"""
ENDLESS = m.module(m.LOOP_FOR_EVER)


def release_image(kernel: str, world: World, folder: Path) -> Path:
    document = RootFile(world.root)
    for key in world.roots[:2]:
        document = document.signed_by(key)
    path = folder / "root.cbor"
    path.write_bytes(document.to_bytes())
    return build_device(kernel, root=path, folder=folder / kernel).image


def some(world: World) -> list[Attack]:
    """One attack for each reason, and every twentieth of the rest."""
    chosen: dict[str, Attack] = {}
    rest = [attack for attack in attacks(world) if attack.file]
    for attack in rest:
        chosen.setdefault(attack.reasons[0], attack)
    return [*chosen.values(), *rest[::20]]


async def refused(link: Link, slot: int, module: bytes, reasons: tuple[str, ...]) -> None:
    with pytest.raises(DeniedError) as caught:
        await link.upload(slot, module)
    texts = [f"refusal {number}: {text}" for number, (name, text) in REFUSALS.items() if name in reasons]
    assert any(text in str(caught.value) for text in texts)
    assert caught.value.exit_code == 3


async def _release(link: Link, world: World) -> None:
    status = await link.status()
    assert (status.image, status.device_class) == ("release", "qemu-virt")

    await refused(link, 0, ENDLESS, ("UNSIGNED",))
    module = m.compile_c(SHOWS_ITS_RIGHTS)
    manifest: dict[str, object] = {
        "sequence": CONFIRMED,
        "env": ("MODE=signed", "WHO=manifest"),
        "policy": Policy(dirs=("/data",)),
        "arena": 1 << 20,
    }
    ended = await run_module(link, 1, world.sign(module, **manifest), env=(("WHO", "request"),))
    assert ended.stdout == b"MODE=signed WHO=request data=open\netc=closed memory=4294967295\n"
    assert (ended.status.signed, ended.status.name, ended.status.version) == (True, "probe", "1.2.3")
    assert (ended.status.sequence, ended.status.key) == (CONFIRMED, world.key.public.id)

    endless = world.sign(ENDLESS, sequence=CONFIRMED)
    await install(link, 0, endless)
    await link.start(0)
    for attack in some(world):
        await refused(link, 0, attack.file, attack.reasons)
    slot = await link.slot(0)
    assert (slot.state, slot.digest, slot.starts) == ("running", hashlib.sha256(endless).digest(), 1)
    assert slot.confirmed_sequence == CONFIRMED
    assert slot.refusal is not None

    root = replace(world.root, version=4, keys=(SigningKey(world.stranger.public),))
    document = RootFile(root).signed_by(world.roots[1])
    with pytest.raises(DeniedError, match="refusal 33: "):
        await link.install_root(document.to_bytes())
    assert await link.install_root(document.signed_by(world.roots[2]).to_bytes()) == 4
    await refused(link, 0, world.sign(ENDLESS, sequence=9), ("UNKNOWN_KEY",))
    await link.upload(0, world.sign(ENDLESS, key=world.stranger, sequence=9))


async def _after_power(link: Link, world: World) -> None:
    """The module is back, its sequence number too; the newer root document and what only it vouches for are not."""
    slot = await link.slot(0)
    assert (slot.state, slot.signed, slot.sequence) == ("running", True, CONFIRMED)
    assert slot.confirmed_sequence == CONFIRMED
    assert await link.candidate(0) is None
    await refused(link, 0, world.sign(ENDLESS, sequence=CONFIRMED - 1), ("OLDER",))
    await refused(link, 0, world.sign(ENDLESS, key=world.stranger, sequence=9), ("UNKNOWN_KEY",))


async def _development(link: Link, world: World) -> None:
    status = await link.status()
    assert (status.image, status.device_class) == ("development", "qemu-virt")
    ended = await run_module(link, 0, m.module(m.NOP))
    assert (ended.status.state, ended.status.signed) == ("exited", False)
    await refused(link, 0, world.sign(), ("UNKNOWN_KEY",))
    ended = await run_module(link, 0, world.sign(m.module(m.NOP), key=load_private_key(DEVELOPMENT_KEY)))
    assert (ended.status.state, ended.status.signed) == ("exited", True)


@pytest.mark.parametrize("kind", ["release", "development"])
@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_image(kernel: str, kind: str, world: World, tmp_path: Path) -> None:
    image = image_of(kernel)
    if kind == "release":
        image = await asyncio.to_thread(release_image, kernel, world, tmp_path)
    stories = (_release, _after_power) if kind == "release" else (_development,)
    for story in stories:
        device = await start_device("signing", kernel=kernel, image=image, root=tmp_path, outlives_us=False)
        try:
            async with Link(device.record.port, name="device") as link:
                await story(link, world)
        finally:
            await device.power_cut()
