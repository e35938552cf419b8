# SPDX-License-Identifier: Apache-2.0
"""Attacked updates against the device's own C code, under sanitizers: all refused, each for its reason.

Invariant: nothing but a module that a trusted key signed, for this device and slot and not older than the confirmed
one, gets in; and a refused update leaves the running slot's module as it was, byte by byte.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from agent.keys import generate_key
from agent.manifest import Health, Policy
from agent.root import Root, RootFile, SigningKey
from edge_engine.zig import ROOT
from tests.signing.attacks import CONFIRMED, Attack, attacks
from tests.signing.verifier import ACCEPTED, REFUSALS, Verifier
from tests.supervisor.device import STATE_EXITED, STATE_RUNNING, STATE_TRAPPED, WRITE, Device

if TYPE_CHECKING:
    from pathlib import Path

    from tests.signing.conftest import World

LEAST = 500
ACCESS_DENIED = 11


@pytest.fixture(scope="module")
def all_attacks(world: World) -> list[Attack]:
    return list(attacks(world))


def test_there_are_enough(all_attacks: list[Attack]) -> None:
    assert len({attack.file for attack in all_attacks}) >= LEAST
    print(f"{len(all_attacks)} attacked updates")


def test_the_good_one_is_accepted(world: World, verifier: Verifier) -> None:
    good = world.sign(sequence=CONFIRMED)
    verifier.past(CONFIRMED, good)
    assert verifier.admit(good) == ACCEPTED
    assert verifier.admit(world.sign(sequence=CONFIRMED + 1, slot_class="general", arena=8 << 20)) == ACCEPTED
    assert verifier.admit(world.sign(sequence=2, downgrade_from=CONFIRMED)) == ACCEPTED


def test_the_verifier_refuses_every_attack(world: World, verifier: Verifier, all_attacks: list[Attack]) -> None:
    verifier.past(CONFIRMED, world.sign(sequence=CONFIRMED))
    wrong = [
        (attack.name, reason, attack.reasons)
        for attack in all_attacks
        if (reason := verifier.admit(attack.file)) not in attack.reasons
    ]
    assert not wrong


def test_every_reason_is_met(world: World, verifier: Verifier, all_attacks: list[Attack]) -> None:
    verifier.past(CONFIRMED, world.sign(sequence=CONFIRMED))
    met = Counter(verifier.admit(attack.file) for attack in all_attacks)
    elsewhere = {"BUDGET", "GRANTS", *(name for name, _ in REFUSALS.values() if name.startswith("ROOT_"))}
    assert {name for name, _ in REFUSALS.values()} - elsewhere == set(met)
    assert len({text for _, text in REFUSALS.values()}) == len(REFUSALS)


def test_refused_before_a_byte_of_the_running_slot_changes(
    world: World, release_device: Device, all_attacks: list[Attack]
) -> None:
    good = world.sign(sequence=CONFIRMED)
    digest = release_device.upload(good)
    release_device.request(WRITE, 64, 1, {"slot": 0, "args": ["good"]})
    generation = release_device.control()["generation"]
    release_device.events()
    for attack in all_attacks:
        if not attack.file:
            continue  # SMP has no empty upload
        body = {"image": 0, "off": 0, "len": len(attack.file), "data": attack.file}
        answer = release_device.request(WRITE, 1, 1, body)
        assert answer["rc"] == ACCESS_DENIED, attack.name
        reasons = {f"refusal {number}: {text}" for number, (name, text) in REFUSALS.items() if name in attack.reasons}
        assert answer["rsn"] in reasons, attack.name
    slot = release_device.slot()
    assert slot["state"] == "running"
    assert slot["digest"] == digest
    assert "candidate" not in slot
    assert "upload" not in slot
    assert slot["confirmed_sequence"] == CONFIRMED
    assert release_device.control()["generation"] == generation
    assert release_device.events() == []
    region = release_device.command("o", b"\0")
    assert region[: len(good)] == good


def test_random_changes_under_sanitizers(world: World, verifier: Verifier) -> None:
    """Anything but the file itself is refused, and nothing is read outside of it."""
    good = world.sign(sequence=8, env=("A=b",))
    chance = random.Random(9124)
    for _ in range(3000):
        changed = bytearray(good)
        for _ in range(chance.randint(1, 6)):
            at = chance.randrange(len(changed))
            match chance.randrange(3):
                case 0:
                    changed[at] = chance.randrange(256)
                case 1:
                    del changed[at : at + chance.randrange(20)]
                case _:
                    changed[at:at] = chance.randbytes(chance.randrange(8))
            if not changed:
                break
        if bytes(changed) != good:
            assert verifier.admit(bytes(changed)) != ACCEPTED


def test_a_fault_of_the_file_system_cannot_pass_for_development(world: World, verifier_program: Path) -> None:
    """A broken root document leaves nobody trusted, and no development image."""
    running = Verifier.start(verifier_program)
    broken = world.root.payload()[:-1]
    assert running.load(broken, development=True) == "ROOT_SHAPE"
    assert running.admit(world.sign()) == "UNKNOWN_KEY"
    assert running.admit(b"\0asm\1\0\0\0") == "UNSIGNED"
    assert running.stop() == 0


def test_development_images_run_what_nobody_claims_to_have_signed(world: World, verifier_program: Path) -> None:
    running = Verifier.start(verifier_program)
    assert running.load(world.root.payload(), development=True) == ACCEPTED
    for free in (b"\0asm\1\0\0\0", b"anything", b""):
        assert running.admit(free) == ACCEPTED
    good = world.sign()
    assert running.admit(good) == ACCEPTED
    assert running.admit(good + b"\0\1\0") == "TRAILING"
    assert running.admit(world.sign(key=world.stranger)) == "UNKNOWN_KEY"
    changed = good.replace(b"probe", b"prone")
    assert running.admit(changed) == "BAD_SIGNATURE"
    assert running.stop() == 0


def test_sequence_numbers_never_go_back(world: World, release_device: Device) -> None:
    release_device.upload(world.sign(sequence=5))
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.engine_says(STATE_EXITED)
    release_device.upload(world.sign(sequence=9))
    assert release_device.slot()["confirmed_sequence"] == 5  # 9 has not started
    release_device.request(WRITE, 64, 1, {"slot": 0})
    assert release_device.slot()["confirmed_sequence"] == 9
    release_device.command("z")  # a warm reset forgets modules, not what was confirmed
    old = world.sign(sequence=5)
    answer = release_device.request(WRITE, 1, 1, {"image": 0, "off": 0, "len": len(old), "data": old})
    assert answer["rsn"].startswith("refusal 21:")
    release_device.upload(world.sign(sequence=5, downgrade_from=9))
    release_device.request(WRITE, 64, 1, {"slot": 0})
    assert release_device.slot()["sequence"] == 5
    assert release_device.slot()["confirmed_sequence"] == 9
    assert release_device.slot(1).get("confirmed_sequence") is None


def test_a_slot_goes_back_to_its_own_former_module_but_takes_no_old_one(world: World, release_device: Device) -> None:
    """What lies beside the active module may run again until that was confirmed by name."""
    former, newer = world.sign(sequence=5), world.sign(sequence=9)
    before = release_device.upload(former)
    release_device.request(WRITE, 64, 1, {"slot": 0})
    after = release_device.upload(newer)
    release_device.request(WRITE, 64, 1, {"slot": 0})
    assert release_device.slot()["digest"] == after
    release_device.request(WRITE, 1, 0, {"hash": before, "confirm": True})
    assert release_device.request(WRITE, 64, 1, {"slot": 0}) == {"starts": 3}
    assert release_device.slot()["digest"] == before
    release_device.request(WRITE, 1, 0, {"hash": after, "confirm": True})
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.request(WRITE, 1, 0, {"hash": after, "confirm": True})  # confirms what runs, by name
    release_device.request(WRITE, 1, 0, {"hash": before, "confirm": True})
    answer = release_device.request(WRITE, 64, 1, {"slot": 0})
    assert answer["rsn"].startswith("refusal 21:")
    assert release_device.slot()["digest"] == after


def test_erasing_does_not_forget_the_sequence_number(world: World, release_device: Device) -> None:
    release_device.upload(world.sign(sequence=9))
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.engine_says(STATE_EXITED)
    assert release_device.request(WRITE, 1, 5, {"slot": 0}) == {}
    assert release_device.slot()["state"] == "empty"
    old = world.sign(sequence=5)
    answer = release_device.request(WRITE, 1, 1, {"image": 0, "off": 0, "len": len(old), "data": old})
    assert answer["rsn"].startswith("refusal 21:")


def test_sequence_is_checked_again_at_the_start(world: World, release_device: Device) -> None:
    """A candidate that was newer when it came may be older when it is to start."""
    release_device.upload(world.sign(sequence=5))
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.upload(world.sign(sequence=9), confirm=False)
    release_device.request(WRITE, 64, 1, {"slot": 0})  # a test start of 9
    release_device.upload(world.sign(sequence=7))  # newer than 5, the highest confirmed
    running = release_device.slot()["digest"]
    release_device.request(WRITE, 1, 0, {"hash": running, "confirm": True})
    release_device.engine_says(STATE_EXITED)
    answer = release_device.request(WRITE, 64, 1, {"slot": 0})
    assert answer["rsn"].startswith("refusal 21:")


def revoke(release_device: Device, world: World, *, finish: bool = False, also: tuple[SigningKey, ...] = ()) -> None:
    root = replace(world.root, version=4, keys=(SigningKey(world.key.public, revoked=True, finish=finish), *also))
    document = RootFile(root)
    for key in world.roots[:2]:
        document = document.signed_by(key)
    assert release_device.request(WRITE, 64, 6, {"root": document.to_bytes()}) == {"root_version": 4}


REVOKED = "refusal 8: the key that signed the module was revoked"


def passes(device: Device, seconds: float) -> None:
    device.command("w", struct.pack("<Q", round(seconds * 1e9)))


def running(device: Device, module: bytes, **more: object) -> None:
    device.upload(module)
    device.request(WRITE, 64, 1, {"slot": 0, **more})
    device.engine_says(STATE_RUNNING)
    assert device.slot()["state"] == "running"
    device.events()


def test_revoking_a_key_stops_its_modules_now(world: World, release_device: Device) -> None:
    running(release_device, world.sign(sequence=5), restart="on-failure")
    revoke(release_device, world)
    assert release_device.events() == ["stop 0"]
    slot = release_device.slot()
    assert (slot["state"], slot["reason"]) == ("stopped", REVOKED)
    passes(release_device, 60)
    answer = release_device.request(WRITE, 64, 1, {"slot": 0})
    assert answer == {"rc": ACCESS_DENIED, "rsn": REVOKED}
    assert release_device.events() == []


def test_a_key_that_the_new_document_does_not_list_stops_its_modules_too(world: World, release_device: Device) -> None:
    running(release_device, world.sign(sequence=5))
    document = RootFile(replace(world.root, version=4, keys=()))
    for key in world.roots[:2]:
        document = document.signed_by(key)
    release_device.request(WRITE, 64, 6, {"root": document.to_bytes()})
    assert release_device.slot()["state"] == "stopped"


@pytest.mark.parametrize("state", [STATE_TRAPPED, STATE_EXITED])
def test_finish_lets_a_run_end_and_starts_nothing_again(world: World, release_device: Device, state: int) -> None:
    running(release_device, world.sign(sequence=5), restart="on-failure")
    revoke(release_device, world, finish=True)
    assert release_device.slot()["state"] == "running"
    release_device.engine_says(state, exit_code=1)
    release_device.events()
    passes(release_device, 60)
    assert release_device.events() == []
    assert "restart_ms" not in release_device.slot()
    assert release_device.request(WRITE, 64, 1, {"slot": 0})["rsn"] == REVOKED


def test_a_restart_that_was_due_when_its_key_was_revoked_does_not_come(world: World, release_device: Device) -> None:
    running(release_device, world.sign(sequence=5), restart="on-failure")
    release_device.engine_says(STATE_TRAPPED)
    assert release_device.slot()["restart_ms"] > 0
    release_device.events()
    revoke(release_device, world)
    passes(release_device, 60)
    assert release_device.events() == []
    assert release_device.slot()["state"] == "trapped"


def test_no_start_of_any_kind_runs_a_revoked_module(world: World, release_device: Device) -> None:
    """By name, as a candidate, by rollback, from a failed trial, after a reset."""
    other = generate_key()
    both = replace(world.root, version=4, keys=(SigningKey(world.key.public), SigningKey(other.public)))
    gone = replace(both, version=5, keys=(SigningKey(world.key.public, revoked=True), SigningKey(other.public)))
    one = world.sign(sequence=5)
    two = world.sign(key=other, sequence=6, health=Health(alive_s=10))

    def install(root: Root) -> None:
        document = RootFile(root)
        for key in world.roots[:2]:
            document = document.signed_by(key)
        assert release_device.request(WRITE, 64, 6, {"root": document.to_bytes()}) == {"root_version": root.version}

    install(both)
    running(release_device, one)
    release_device.upload(two, confirm=False)
    release_device.request(WRITE, 64, 1, {"slot": 0})
    release_device.engine_says(STATE_RUNNING)
    install(gone)
    assert release_device.slot()["state"] == "running"  # its key is good
    release_device.events()
    assert release_device.request(WRITE, 64, 8, {"slot": 0})["rsn"] == REVOKED
    release_device.engine_says(STATE_TRAPPED)  # the trial fails; its former module is not to be gone back to
    assert release_device.slot()["state"] == "trapped"
    assert "restart 0" not in release_device.events()
    release_device.request(WRITE, 1, 0, {"hash": hashlib.sha256(one).digest(), "confirm": True})
    assert release_device.request(WRITE, 64, 1, {"slot": 0})["rsn"] == REVOKED
    release_device.command("z")
    assert "restart 0" not in release_device.events()


def test_the_manifest_sets_limits_environment_and_grants(world: World, release_device: Device) -> None:
    policy = Policy(dirs=("/data", "/etc:ro"), random=False, files=5)
    release_device.upload(
        world.sign(sequence=5, arena=1 << 20, stack=4096, fuel=1000, env=("A=1", "B=2"), policy=policy)
    )
    request = {"slot": 0, "args": ["probe"], "env": ["B=3", "C=4"], "fuel": 5000}
    assert release_device.request(WRITE, 64, 1, request) == {"starts": 1}
    control = release_device.control()
    assert (control["stack"], control["fuel"], control["metered"]) == (4096, 1000, 1)
    launch = release_device.launch()
    assert launch["env"] == [b"B=3", b"C=4", b"A=1"]
    assert launch["grants"] == [b"dir=/data", b"dir=/etc:ro", b"random=off", b"files=5"]
    release_device.engine_says(STATE_EXITED)
    answer = release_device.request(WRITE, 64, 1, {"slot": 0, "grants": ["dir=/secret"]})
    assert answer["rsn"].startswith("refusal 26:")


def test_the_protocol_page_lists_every_refusal() -> None:
    page = (ROOT / "docs" / "PROTOCOL.md").read_text(encoding="utf-8")
    for number, (_, text) in REFUSALS.items():
        assert f"| {number} | {text} |" in page


def test_more_cpu_time_than_the_slot_has(world: World, verifier: Verifier) -> None:
    """The verifier's slot has half of the CPU (driver.c)."""
    assert verifier.admit(world.sign(budget_us=501, period_us=1000)) == "BUDGET"
    assert verifier.admit(world.sign(budget_us=1_000_000, period_us=1_000_000)) == "BUDGET"
    assert verifier.admit(world.sign(budget_us=500, period_us=1000)) == ACCEPTED
    assert verifier.admit(world.sign(budget_us=1, period_us=1_000_000)) == ACCEPTED
