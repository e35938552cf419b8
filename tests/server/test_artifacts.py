# SPDX-License-Identifier: Apache-2.0
"""Artifacts: signatures checked at the door, bytes kept as they are, OCI layouts in and out."""

from __future__ import annotations

import hashlib
import json

import pytest

from agent.errors import RefusedError, UsageError
from agent.keys import generate_key
from agent.manifest import Manifest, Policy
from agent.root import Root, RootFile, SigningKey
from agent.signing import sign_module
from fleet import oci
from fleet.access import Role
from tests.server.live import module

PLAIN = b"\0asm\1\0\0\0"


def manifest(sequence=1, **more):
    return Manifest(name="pump", version=f"1.0.{sequence}", sequence=sequence, policy=Policy(dirs=("/data",)), **more)


@pytest.fixture
def options():
    return {"allow_unsigned": False}


@pytest.fixture
def key():
    return generate_key()


@pytest.fixture
def root_key():
    return generate_key()


def document(version, root_key, *keys):
    return RootFile(Root(version, 1, (root_key.public,), keys)).signed_by(root_key).to_bytes()


@pytest.fixture
def trusting(acting, key, root_key):
    body = document(1, root_key, SigningKey(key.public, ("qemu-virt",)))
    assert acting(Role.OPERATOR, "PUT", "/trust", content=body).status_code == 403
    assert acting(Role.ADMIN, "PUT", "/trust", content=body).json() == {"root_version": 1}


def upload(acting, data, role=Role.OPERATOR, **params):
    return acting(role, "POST", "/artifacts", content=data, params={"file": "pump.wasm", **params})


def test_a_trusted_module_comes_in_with_its_manifest(acting, trusting, key):
    data = sign_module(PLAIN, manifest(device_class="qemu-virt", arena=1 << 20), key)
    answer = upload(acting, data, source="https://git.example/pump", commit="c" * 40)
    assert answer.status_code == 201, answer.text
    known = answer.json()
    assert known["digest"] == hashlib.sha256(data).hexdigest()
    assert (known["name"], known["version"], known["sequence"]) == ("pump", "1.0.1", 1)
    assert known["manifest"]["policy"] == {"dirs": ["/data"], "clocks": True, "random": True}
    assert known["key"] == key.public.id.hex()
    assert known["provenance"] == {"source": "https://git.example/pump", "commit": "c" * 40}
    for reference in (known["digest"], known["digest"][:8], "pump:1.0.1"):
        assert acting(Role.VIEWER, "GET", f"/artifacts/{reference}").json() == known
    assert acting(Role.VIEWER, "GET", f"/artifacts/{known['digest']}/data").content == data
    assert upload(acting, data).json() == known  # the same again changes nothing
    assert acting(Role.VIEWER, "GET", "/artifacts").json()["total"] == 1
    assert acting(Role.OPERATOR, "DELETE", f"/artifacts/{known['digest']}").status_code == 204
    assert acting(Role.VIEWER, "GET", f"/artifacts/{known['digest']}").status_code == 404


def test_what_is_refused_at_the_door(acting, trusting, key):
    good = sign_module(PLAIN, manifest(device_class="qemu-virt"), key)
    changed = bytearray(good)
    changed[-1] ^= 1
    bad = {
        "unsigned": PLAIN,
        "another key": sign_module(PLAIN, manifest(device_class="qemu-virt"), generate_key()),
        "another class": sign_module(PLAIN, manifest(device_class="pump-board"), key),
        "no class": sign_module(PLAIN, manifest(), key),
        "changed": bytes(changed),
        "cut": good[:-1],
        "longer": good + b"\0\1\0",
        "no module": b"hello",
        "component": b"\0asm\x0d\0\1\0",
        "empty": b"",
    }
    for what, data in bad.items():
        answer = upload(acting, data)
        assert answer.status_code == 422, (what, answer.text)
    assert upload(acting, good, Role.VIEWER).status_code == 403
    assert upload(acting, good, colour="red").status_code == 422
    assert acting(Role.VIEWER, "GET", "/artifacts").json()["total"] == 0


def test_a_sequence_number_is_one_modules(acting, trusting, key):
    assert upload(acting, sign_module(PLAIN, manifest(device_class="qemu-virt"), key)).status_code == 201
    other = sign_module(module("run"), manifest(device_class="qemu-virt"), key)
    answer = upload(acting, other)
    assert answer.status_code == 409
    assert "sequence 1 is taken" in answer.json()["detail"]


def test_root_documents_only_grow(acting, trusting, key, root_key):
    assert acting(Role.ADMIN, "PUT", "/trust", content=document(1, root_key)).status_code == 422
    stranger = generate_key()
    assert acting(Role.ADMIN, "PUT", "/trust", content=document(2, stranger)).status_code == 422
    revoked = document(2, root_key, SigningKey(key.public, revoked=True))
    assert acting(Role.ADMIN, "PUT", "/trust", content=revoked).status_code == 200
    answer = upload(acting, sign_module(PLAIN, manifest(device_class="qemu-virt"), key))
    assert answer.status_code == 422


def artifact(data, **more):
    known = {"digest": hashlib.sha256(data).hexdigest(), "file": "pump.wasm", "name": "pump", "version": "1.2.3"}
    return known | {"created_ms": 1_700_000_000_000, "provenance": {"source": "s", "commit": "c"}} | more


def test_an_oci_layout_gives_back_what_was_put_in(tmp_path):
    first, second = module("run"), module("exit 1")
    oci.export(tmp_path, first, artifact(first), "1.2.3")
    assert oci.read(tmp_path) == oci.Found(
        first, "pump.wasm", {"source": "s", "commit": "c", "created": "2023-11-14T22:13:20Z"}
    )
    oci.export(tmp_path, second, artifact(second), "latest")
    assert oci.read(tmp_path, "1.2.3").data == first
    assert oci.read(tmp_path, "latest").data == second
    oci.export(tmp_path, first, artifact(first), "latest")  # a tag moves
    assert oci.read(tmp_path, "latest").data == first
    with pytest.raises(UsageError, match="name a tag"):
        oci.read(tmp_path)
    index = json.loads((tmp_path / "index.json").read_bytes())
    blob = json.loads((tmp_path / "blobs" / "sha256" / index["manifests"][0]["digest"][7:]).read_bytes())
    assert blob["layers"][0]["mediaType"] == "application/wasm"
    assert blob["layers"][0]["digest"] == f"sha256:{hashlib.sha256(first).hexdigest()}"
    assert blob["config"]["mediaType"] == "application/vnd.wasm.config.v0+json"


def damage_blob(path):
    blob = max((path / "blobs" / "sha256").iterdir(), key=lambda file: b"\0asm" in file.read_bytes())
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")


def change_index(**more):
    def damage(path):
        index = json.loads((path / "index.json").read_bytes())
        index["manifests"][0] |= more
        (path / "index.json").write_text(json.dumps(index))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        damage_blob,
        change_index(digest="sha256:../../../../etc/passwd"),
        change_index(digest="sha256:" + "0" * 64),
        change_index(size=1),
        change_index(mediaType="application/x"),
        lambda path: (path / "oci-layout").write_text('{"imageLayoutVersion": "9"}'),
        lambda path: (path / "index.json").write_text("[]"),
        lambda path: (path / "index.json").write_text("nonsense"),
    ],
)
def test_a_damaged_layout_is_refused(tmp_path, damage):
    data = module("run")
    oci.export(tmp_path, data, artifact(data), "1")
    damage(tmp_path)
    with pytest.raises((RefusedError, UsageError)):
        oci.read(tmp_path)
