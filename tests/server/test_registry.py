# SPDX-License-Identifier: Apache-2.0
"""The OCI distribution API: modules to and from a registry, and what a registry may not do to us."""

from __future__ import annotations

import hashlib
import json

import pytest

from agent.errors import RefusedError, UsageError
from agent.login import tls_context
from fleet import oci
from fleet.errors import DeniedError, LoginError, NotFoundError, ServerError
from fleet.pki import ensure_pki
from fleet.registry import Reference, Registry
from tests.server.live import module
from tests.server.oci_registry import PASSWORD, USER, OciRegistry

DATA = module("run", size=200_000)
KNOWN = {"digest": hashlib.sha256(DATA).hexdigest(), "file": "pump.wasm", "name": "pump", "version": "1.2.3"}
KNOWN |= {"created_ms": 1_700_000_000_000, "provenance": {"source": "s", "commit": "c"}}
FOUND = oci.Found(DATA, "pump.wasm", {"source": "s", "commit": "c", "created": "2023-11-14T22:13:20Z"})
LOGIN = {"user": USER, "password": PASSWORD}


def reach(host, end=":1", **options):
    return Registry(Reference.parse(f"{host}/team/pump{end}"), **{"plain_http": True} | options)


def test_references():
    parse = Reference.parse
    assert parse("registry.example/a/b:1.2") == Reference("registry.example", "a/b", "1.2")
    assert parse("localhost/a") == Reference("localhost", "a")
    assert parse("oci://registry/a") == Reference("registry", "a")
    assert parse("[::1]:5000/a") == Reference("[::1]:5000", "a")
    digest = "sha256:" + "0" * 64
    text = f"r.example:5000/a:x@{digest}"
    assert str(parse(text)) == text
    assert parse(text) == Reference("r.example:5000", "a", "x", digest)
    for path in ("folder", "./folder", "/folder/a", "folder/a", "../a/b", "a", ""):
        assert parse(path) is None
    for wrong in ("r.example/", "r.example/A", "r.example/a:", "r.example/a:b:c", "r.example/a@sha256:1", "oci://"):
        with pytest.raises(UsageError):
            parse(wrong)
    for wrong in ("r.example/../../etc", "r.example/a?x=y", "r.example/a#b", "oci://a@b/c", "r.example/a:-b"):
        with pytest.raises(UsageError):
            parse(wrong)


@pytest.mark.parametrize("auth", ["", "basic", "token"])
def test_what_was_pushed_is_pulled(auth):
    registry = OciRegistry(auth)
    with registry.running() as host:
        with reach(host, **LOGIN) as to:
            digest = to.push(DATA, KNOWN)
        assert registry.uploads == 2
        for end in (":1", f"@{digest}"):
            with reach(host, end, **LOGIN) as source:
                assert source.pull() == FOUND
        with reach(host, ":2", **LOGIN) as to:
            assert to.push(DATA, KNOWN) == digest
        assert registry.uploads == 2  # what is there is not sent again
        manifest = json.loads(registry.manifests["team/pump", "2"][1])
        assert registry.manifests["team/pump", "2"][0] == oci.MANIFEST_TYPE
        assert manifest["layers"][0]["mediaType"] == "application/wasm"
        assert registry.blobs[manifest["layers"][0]["digest"]] == DATA
        assert manifest["config"]["digest"] in registry.blobs


def test_who_may_do_what():
    with OciRegistry("token").running() as host:
        with reach(host) as to, pytest.raises(LoginError):
            to.push(DATA, KNOWN)
        with reach(host, **LOGIN) as to:
            to.push(DATA, KNOWN)
        with reach(host) as source:
            assert source.pull() == FOUND  # a token for everybody
        with reach(host, ":9") as source, pytest.raises(NotFoundError, match=r"no such \\x1b\[31mtag"):
            source.pull()
    with OciRegistry("basic").running() as host:
        for login in ({}, {"user": USER, "password": "wrong"}):
            with reach(host, **login) as source, pytest.raises(LoginError):
                source.pull()
    with OciRegistry("magic").running() as host, reach(host) as source, pytest.raises(LoginError, match="Magic"):
        source.pull()


def test_tls_unless_asked_otherwise(tmp_path):
    pki = ensure_pki(tmp_path / "pki", ["127.0.0.1"])
    registry = OciRegistry()
    with registry.running(pki) as host:
        with reach(host, plain_http=False, tls=tls_context(pki.ca)) as to:
            to.push(DATA, KNOWN)
            assert to.pull() == FOUND
        with reach(host, plain_http=False) as source, pytest.raises(ServerError, match=r"(?i)certificate"):
            source.pull()
        registry.elsewhere = "http://127.0.0.1:1"
        secure = {"plain_http": False, "tls": tls_context(pki.ca)}
        with reach(host, **secure) as source, pytest.raises(ServerError, match="without TLS"):
            source.pull()
        registry.auth, registry.realm = "token", "http://127.0.0.1:1/token"
        with reach(host, **secure, **LOGIN) as source, pytest.raises(ServerError, match="without TLS"):
            source.pull()
    with OciRegistry().running() as host, reach(host, plain_http=False) as source, pytest.raises(ServerError):
        source.pull()


def test_credentials_stay_with_the_registry():
    registry, other = OciRegistry("token"), OciRegistry()
    with registry.running() as host, other.running():
        with reach(host, **LOGIN) as to:
            to.push(DATA, KNOWN)
        registry.elsewhere, other.blobs = other.url, registry.blobs
        with reach(host, **LOGIN) as source:
            assert source.pull() == FOUND
        assert [(method, given) for method, path, given in other.seen] == [("GET", "")]
        registry.realm = other.url.replace("127.0.0.1", "localhost") + "/token"
        other.seen.clear()
        with reach(host, **LOGIN) as source, pytest.raises(LoginError, match="no password goes there"):
            source.pull()
        assert other.seen == []


def change(**more):
    def spoil(registry):
        kind, body = registry.manifests["team/pump", "1"]
        registry.manifests["team/pump", "1"] = (kind, json.dumps(json.loads(body) | more).encode())

    return spoil


def layer(**more):
    def spoil(registry):
        body = json.loads(registry.manifests["team/pump", "1"][1])
        change(layers=[body["layers"][0] | more])(registry)

    return spoil


def flip(registry):
    for digest, data in registry.blobs.items():
        registry.blobs[digest] = data[:-1] + b"x"


def longer(registry):
    for digest in registry.blobs:
        registry.blobs[digest] += b"x"


def replace(body):
    def spoil(registry):
        registry.manifests["team/pump", "1"] = (oci.MANIFEST_TYPE, body)

    return spoil


@pytest.mark.parametrize(
    "spoil",
    [
        flip,
        longer,
        layer(size=1),
        layer(digest="sha256:../../../secret"),
        layer(digest=None),
        layer(digest="sha512:" + "0" * 128),
        layer(mediaType="application/octet-stream"),
        change(layers=[]),
        change(manifests=[{}, {}]),
        change(manifests=[{"digest": "../x"}]),
        replace(b"nonsense"),
        replace(b"[]"),
        replace(b" " * (oci.MAX_JSON + 1)),
    ],
)
def test_what_is_not_as_it_says_is_refused(spoil):
    registry = OciRegistry()
    with registry.running() as host:
        with reach(host) as to:
            to.push(DATA, KNOWN)
        spoil(registry)
        with reach(host) as source, pytest.raises(RefusedError):
            source.pull()


def test_a_manifest_with_another_digest_is_refused():
    registry = OciRegistry()
    with registry.running() as host:
        with reach(host) as to:
            digest = to.push(DATA, KNOWN)
        registry.manifests["team/pump", digest] = (oci.MANIFEST_TYPE, registry.manifests["team/pump", "1"][1] + b" ")
        with reach(host, f"@{digest}") as source, pytest.raises(RefusedError, match="another digest"):
            source.pull()
        with reach(host, f"@{digest}") as to, pytest.raises(UsageError, match="push to a tag"):
            to.push(DATA, KNOWN)


def test_an_index_of_one_is_followed():
    registry = OciRegistry()
    with registry.running() as host:
        with reach(host) as to:
            digest = to.push(DATA, KNOWN)
        index = {"schemaVersion": 2, "mediaType": oci.INDEX_TYPE, "manifests": [{"digest": digest}]}
        registry.manifests["team/pump", "1"] = (oci.INDEX_TYPE, json.dumps(index).encode())
        with reach(host) as source:
            assert source.pull() == FOUND


def test_modules_are_bounded(monkeypatch):
    with OciRegistry().running() as host:
        with reach(host) as to:
            to.push(DATA, KNOWN)
        monkeypatch.setattr(oci, "MAX_MODULE", 1000)
        with reach(host) as source, pytest.raises(RefusedError, match="more than 1000 bytes"):
            source.pull()


def test_a_registry_that_sends_in_circles():
    registry = OciRegistry()
    with registry.running() as host:
        with reach(host) as to:
            to.push(DATA, KNOWN)
        registry.elsewhere = registry.url + "/v2/round"  # /v2/round/elsewhere/... is no blob there
        with reach(host) as source, pytest.raises((NotFoundError, ServerError, DeniedError)):
            source.pull()
