# SPDX-License-Identifier: Apache-2.0
"""Signing on the host: keys, files, manifests, signatures, root documents, and the commands around them."""

from __future__ import annotations

import hashlib
import re
import stat
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import cbor2
import pytest
from typer.testing import CliRunner

from agent.cli import app
from agent.errors import EXIT_REFUSED, EXIT_USAGE, UsageError, WaselError
from agent.keys import PublicKey, create_key_files, generate_key, load_private_key, load_public_key, public_path
from agent.manifest import Health, Manifest, ManifestError, Policy
from agent.module_file import (
    MANIFEST_SECTION,
    SIGNATURE_SECTION,
    ModuleFileError,
    append_section,
    custom_section,
    read_sections,
    strip_sections,
)
from agent.root import Root, RootError, RootFile, SigningKey, check_root, update_root
from agent.signing import (
    BadSignatureError,
    MalformedSignatureError,
    SignatureError,
    UnsignedError,
    UntrustedKeyError,
    read_signed,
    sign_module,
    verify_module,
)
from sel4_bridge.build import BRIDGE
from tests.signing.attacks import attacks
from tests.signing.conftest import MODULE, World, manifest
from tests.signing.verifier import ACCEPTED, Verifier

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
name = "thermostat"
version = "1.2.0-rc.1"
sequence = 7
downgrade_from = 9
device_class = "qemu-virt"
slot_class = "general"
arena = 1048576
stack = 65536
fuel = 1000000
budget_us = 200
period_us = 1000
[env]
MODE = "auto"
[policy]
dirs = ["/data", "/etc:ro"]
clocks = false
random = false
[policy.limits]
files = 8
bytes = 65536
[health]
line = "ready"
timeout_s = 5
"""


def run(*arguments: object) -> tuple[int, str]:
    """A command's exit code, and what it printed or failed with."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(result.exception, WaselError):
        return result.exception.exit_code, str(result.exception)
    return result.exit_code, result.output


# module files


def test_sections_come_and_go() -> None:
    more = append_section(MODULE, "wasel.x", b"content")
    assert more.startswith(MODULE)
    assert custom_section(more, "wasel.x") == b"content"
    assert strip_sections(more, "wasel.x") == MODULE
    assert [section.name for section in read_sections(more)] == ["notes", "wasel.x"]
    assert read_sections(more)[-1].end == len(more)


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"", "no WebAssembly module"),
        (b"\0asm\1\0", "ends within the module's header"),
        (b"\0asm\x0d\0\1\0", "component"),
        (b"\0asm\2\0\0\0", "version 2"),
        (MODULE[:-1], "behind the file"),
        (MODULE + b"\x0e\0", "section 14"),
        (MODULE + b"\0", "goes past its end"),
        (MODULE + b"\0\x80\x80\x80\x80\x80\0", "more than 32 bits"),
        (MODULE + b"\0\xff\xff\xff\xff\x1f", "more than 32 bits"),
        (MODULE + b"\0\1\2", "name of the custom section"),
        (MODULE + b"\0\2\1\xff", "not UTF-8"),
    ],
)
def test_files_that_are_no_modules(file: bytes, why: str) -> None:
    with pytest.raises(ModuleFileError, match=why):
        read_sections(file)


# manifests


def test_a_manifest_comes_back_as_it_went() -> None:
    full = Manifest.from_toml(FULL)
    assert full.policy == Policy(("/data", "/etc:ro"), clocks=False, random=False, files=8, bytes=65536)
    assert full.health == Health(line="ready", timeout_s=5)
    assert full.env == ("MODE=auto",)
    assert Manifest.from_cbor(full.to_cbor(100), 100) == full
    small = manifest()
    assert Manifest.from_cbor(small.to_cbor(8), 8) == small
    with pytest.raises(ManifestError, match="size"):
        Manifest.from_cbor(full.to_cbor(100), 101)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("sequence = 7", "", "sequence is missing"),
        ("sequence = 7", "sequence = 0", "sequence is 0"),
        ("sequence = 7", "sequence = true", "sequence is True"),
        ("sequence = 7", "sequence = 10", "downgrade_from is below"),
        ("arena = 1048576", "arena = 65535", "arena is 65535"),
        ("arena = 1048576", 'arena = "1 MiB"', "arena is '1 MiB'"),
        ("arena", "arenas", "unknown key 'arenas'"),
        ("files = 8", "file = 8", "unknown key 'file'"),
        ('"thermostat"', '"Thermo stat"', "must look like"),
        ("1.2.0-rc.1", "1.2", "must look like"),
        ("period_us = 1000", "", "go together"),
        ("period_us = 1000", "period_us = 100", "more than period_us"),
        ('line = "ready"', "", "exactly one of"),
        ('line = "ready"', 'line = "ready"\nexit = 0', "exactly one of"),
        ('"/data"', '"../data"', "leads out"),
        ("clocks = false", "clocks = 0", "true or false"),
        ("[env]", "[policy]", "not TOML"),
    ],
)
def test_manifests_that_are_refused(old: str, new: str, why: str) -> None:
    with pytest.raises(ManifestError, match=why):
        Manifest.from_toml(FULL.replace(old, new, 1))


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("tcp:192.0.2.1:443", "ACCEPTED"),
        ("udp:192.0.2.1:53", "ACCEPTED"),
        ("tcp:example.org:443", "POLICY"),
        ("tcp:1.2.3:443", "POLICY"),
    ],
)
def test_a_device_takes_sockets_to_addresses_in_numbers(
    world: World, verifier: Verifier, word: str, answer: str
) -> None:
    for asks in (Policy(sockets=(word,)), Policy(listen=(word,))):
        assert Manifest.from_cbor(manifest(policy=asks).to_cbor(1), 1).policy == asks
        assert verifier.admit(world.sign(policy=asks)) == answer


def test_the_device_takes_the_words_that_the_wasi_domain_enforces() -> None:
    checked = (BRIDGE / "supervisor" / "manifest.c").read_text(encoding="ascii")
    function = checked[checked.index("static bool is_policy_word") :]
    accepted = set(re.findall(r'"([a-z]+=(?:off)?)"', function[: function.index("\n}")]))
    enforced = set(re.findall(r'"([a-z]+=(?:off)?)"', (BRIDGE / "wasi" / "grants.c").read_text(encoding="ascii")))
    assert accepted
    assert accepted <= enforced


# signatures


def test_sign_and_verify(world: World) -> None:
    signed = world.sign()
    assert signed.startswith(MODULE)
    found = verify_module(signed, [world.stranger.public, world.key.public])
    assert found.manifest == manifest()
    assert found.envelope.key_id == world.key.public.id
    assert world.sign() == signed  # deterministic
    assert sign_module(signed, manifest(), world.key) == signed  # signing again replaces
    assert len(custom_section(signed, SIGNATURE_SECTION) or b"") == 128  # docs/signing.md


def test_what_is_wrong_has_its_own_error(world: World) -> None:
    signed = world.sign()
    trusted = [world.key.public]
    for file, error in {
        MODULE: UnsignedError,
        strip_sections(signed, SIGNATURE_SECTION): UnsignedError,
        strip_sections(signed, MANIFEST_SECTION): MalformedSignatureError,
        signed + b"\0\1\0": MalformedSignatureError,
        signed.replace(b"probe", b"prone"): BadSignatureError,
        world.sign(key=world.stranger): UntrustedKeyError,
        signed[:-1]: ModuleFileError,
    }.items():
        with pytest.raises(error):
            verify_module(file, trusted)


def test_host_and_device_refuse_the_same_files(world: World) -> None:
    """Every attack on bytes, signature and manifest is refused by the host's verifier, too."""
    host_cannot_know = {"DEVICE_CLASS", "SLOT_CLASS", "OLDER", "REPLAYED", "ARENA", "BUDGET", "POLICY"}
    trusted = [world.key.public]
    for attack in attacks(world):
        if host_cannot_know.isdisjoint(attack.reasons):
            with pytest.raises((SignatureError, ManifestError, ModuleFileError)):
                verify_module(attack.file, trusted)


def test_another_cose_implementation_agrees(world: World) -> None:
    cwt = pytest.importorskip("cwt", reason="cwt is not installed")
    signed = world.sign()
    key = cwt.COSEKey.from_pem(world.key.public.pem(), kid=world.key.public.id)
    section = custom_section(signed, SIGNATURE_SECTION)
    payload = read_signed(signed).payload
    assert cwt.COSE.new().decode(section, key, detached_payload=payload) == payload
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(section, key, detached_payload=payload[:-1] + b"x")


def test_the_key_id_is_the_thumbprint_of_rfc_9679(world: World) -> None:
    key = world.key.public
    assert key.id == hashlib.sha256(cbor2.dumps({1: 1, -1: 6, -2: key.raw}, canonical=True)).digest()


# keys


def test_key_files(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "release"
    made = create_key_files(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_public_key(public_path(path)) == made == load_private_key(path).public
    with pytest.raises(UsageError, match="there is a key already"):
        create_key_files(path)
    assert create_key_files(path, keep=True) == made
    assert sorted(item.name for item in path.parent.iterdir()) == ["release", "release.pub"]
    with pytest.raises(UsageError, match="no unencrypted Ed25519 private key"):
        load_private_key(public_path(path))
    with pytest.raises(UsageError, match="no Ed25519 public key"):
        load_public_key(path)
    with pytest.raises(UsageError, match="cannot be read"):
        load_private_key(tmp_path / "nothing")


def test_rfc_8032_vector() -> None:
    """RFC 8032 section 7.1, test 2."""
    public = PublicKey(bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"))
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert public.verifies(signature, b"\x72")
    assert not public.verifies(signature, b"\x73")


# root documents


def signed_by(root: Root, *keys: object) -> RootFile:
    file = RootFile(root)
    for key in keys:
        file = file.signed_by(key)  # type: ignore[arg-type]
    return file


def test_root_documents_replace_each_other(world: World, verifier: Verifier) -> None:
    first = world.root
    assert check_root(signed_by(first, *world.roots[:2])) == first
    new_root = generate_key()
    second = replace(
        first,
        version=4,
        roots=(*first.roots[:2], new_root.public),
        keys=(SigningKey(world.stranger.public), SigningKey(world.key.public, revoked=True)),
    )
    file = signed_by(second, *world.roots[:2])
    assert RootFile.from_bytes(file.to_bytes()) == file
    assert update_root(first, file) == second
    assert verifier.admit(world.sign()) == ACCEPTED
    assert verifier.update(file.to_bytes()) == ACCEPTED
    assert verifier.admit(world.sign()) == "REVOKED_KEY"
    assert verifier.admit(world.sign(key=world.stranger)) == ACCEPTED
    third = replace(second, version=5)
    gone = signed_by(third, world.roots[0], world.roots[2])  # the third root key was replaced
    with pytest.raises(RootError, match="1 of the trusted root keys"):
        update_root(second, gone)
    assert verifier.update(gone.to_bytes()) == "ROOT_SIGNATURES"
    assert verifier.update(signed_by(third, world.roots[1], new_root).to_bytes()) == ACCEPTED


def test_root_documents_that_are_refused(world: World, verifier: Verifier) -> None:
    first = world.root
    next_root = replace(first, version=4)
    enough = world.roots[:2]
    strangers = (generate_key(), generate_key())
    taken_over = replace(next_root, roots=tuple(key.public for key in strangers))
    good = signed_by(next_root, *enough).to_bytes()
    cases = {
        "one signature": (signed_by(next_root, world.roots[0]), "ROOT_SIGNATURES"),
        "strangers": (signed_by(taken_over, *strangers), "ROOT_SIGNATURES"),
        "signing key": (signed_by(next_root, world.key, world.roots[0]), "ROOT_SIGNATURES"),
        "new root keys that did not sign": (signed_by(taken_over, *enough), "ROOT_OWN_SIGNATURES"),
        "same version": (signed_by(first, *enough), "ROOT_OLDER"),
        "older": (signed_by(replace(first, version=2), *enough), "ROOT_OLDER"),
    }
    for name, (file, reason) in cases.items():
        with pytest.raises(RootError):
            update_root(first, file)
        assert verifier.update(file.to_bytes()) == reason, name
    for at in range(len(good)):
        changed = good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :]
        assert verifier.update(changed) in {"ROOT_SHAPE", "ROOT_SIGNATURES"}, at
        assert verifier.update(good[:at]) == "ROOT_SHAPE"
    assert verifier.update(good + b"\0") == "ROOT_SHAPE"
    twice = cbor2.loads(good)
    twice.value[3].append(twice.value[3][0])
    assert verifier.update(cbor2.dumps(twice)) == ACCEPTED  # a signature twice counts once, and here two keys signed
    alone = cbor2.loads(signed_by(replace(first, version=9), world.roots[0]).to_bytes())
    alone.value[3].append(alone.value[3][0])
    assert verifier.update(cbor2.dumps(alone)) == "ROOT_SIGNATURES"


@pytest.mark.parametrize(
    "fields",
    [{"version": 0}, {"threshold": 0}, {"threshold": 4}, {"roots": ()}],
)
def test_roots_that_make_no_sense(world: World, fields: dict[str, object]) -> None:
    with pytest.raises(RootError):
        replace(world.root, **fields)  # type: ignore[arg-type]


# commands


def test_the_commands(tmp_path: Path) -> None:
    module, key, signed = tmp_path / "app.wasm", tmp_path / "key", tmp_path / "signed.wasm"
    toml = tmp_path / "app.toml"
    module.write_bytes(MODULE)
    toml.write_text(FULL, encoding="utf-8")
    assert tomllib.loads(FULL)["name"] == "thermostat"
    assert run("keygen", "-o", key)[0] == 0
    assert run("keygen", "-o", key)[0] == EXIT_USAGE
    code, text = run("sign", module, "--key", key, "--manifest", toml, "-o", signed)
    assert code == 0, text
    assert "thermostat 1.2.0-rc.1, sequence 7" in text
    code, text = run("verify", signed, "--key", f"{key}.pub")
    assert (code, "thermostat 1.2.0-rc.1, sequence 7" in text) == (0, True)
    code, text = run("inspect", signed)
    assert code == 0
    assert "thermostat" in text
    assert load_public_key(public_path(key)).short_id in text

    assert run("keygen", "-o", tmp_path / "other")[0] == 0
    code, text = run("verify", signed, "--key", tmp_path / "other.pub")
    assert (code, "not the one to trust" in text) == (EXIT_REFUSED, True)
    code, text = run("verify", module, "--key", f"{key}.pub")
    assert (code, "is not signed" in text) == (EXIT_REFUSED, True)
    changed = tmp_path / "changed.wasm"
    changed.write_bytes(signed.read_bytes().replace(b"auto", b"manu"))
    code, text = run("verify", changed, "--key", f"{key}.pub")
    assert (code, "not those that key" in text) == (EXIT_REFUSED, True)
    toml.write_text(FULL + "x = 1", encoding="utf-8")
    code, text = run("sign", module, "--key", key, "--manifest", toml, "-o", changed)
    assert (code, "unknown key 'x'" in text) == (EXIT_REFUSED, True)
    assert run("sign", module, "--key", tmp_path / "none", "-o", changed)[0] == EXIT_USAGE
    assert run("sign", tmp_path / "none", "--key", key, "-o", changed)[0] == EXIT_USAGE


def test_signing_without_a_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file's name and the time; and a module that was signed keeps its manifest."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    module, key, signed = tmp_path / "My App.wasm", tmp_path / "key", tmp_path / "signed.wasm"
    module.write_bytes(MODULE)
    create_key_files(key)
    assert run("sign", module, "--key", key, "-o", signed)[0] == 0
    first = read_signed(signed.read_bytes())
    assert (first.manifest.name, first.manifest.sequence) == ("my-app", 1_700_000_000)
    create_key_files(tmp_path / "other")
    assert run("sign", signed, "--key", tmp_path / "other", "-o", signed)[0] == 0
    second = read_signed(signed.read_bytes())
    assert second.manifest == first.manifest
    assert second.envelope.key_id != first.envelope.key_id


def test_the_root_commands(tmp_path: Path) -> None:
    keys = [tmp_path / name for name in ("alice", "bob", "release")]
    for key in keys:
        create_key_files(key)
    alice, bob, release = keys
    root, former = tmp_path / "root.cbor", tmp_path / "former.cbor"
    assert run("root", "init", root, "--root-key", f"{alice}.pub", "--root-key", f"{bob}.pub", "--threshold", 2)[0] == 0
    assert run("root", "add-key", root, "--key", f"{release}.pub", "--class", "qemu-virt")[0] == 0
    assert run("root", "sign", root, "--key", alice)[0] == 0
    code, text = run("root", "verify", root)
    assert (code, "signed by 1 of its root keys, 2 are needed" in text) == (EXIT_REFUSED, True)
    assert run("root", "sign", root, "--key", bob)[0] == 0
    assert run("root", "verify", root)[0] == 0
    former.write_bytes(root.read_bytes())
    assert run("root", "revoke-key", root, "--key", f"{release}.pub")[0] == 0
    assert run("root", "sign", root, "--key", alice, "--key", bob)[0] == 0
    code, text = run("root", "verify", root, "--trusted", former)
    assert (code, "version 2" in text, "revoked" in text) == (0, True, True)
    assert run("root", "verify", former, "--trusted", root)[0] == EXIT_REFUSED
