# SPDX-License-Identifier: Apache-2.0
"""`wasel fleet ...` against a server as users start it: every noun, by the command line."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from agent.cli import main
from tests.server.live import module
from tests.server.oci_registry import PASSWORD, USER, OciRegistry

START_S = 240


@pytest.fixture
def server(tmp_path):
    """A running `wasel fleet serve`; the token of its first admin is where the commands find it."""
    data = tmp_path / "data"
    command = [
        sys.executable,
        "-m",
        "agent",
        "fleet",
        "serve",
        "--port",
        "0",
        "--broker-port",
        "0",
        "--data",
        str(data),
    ]
    command += ["--allow-unsigned", "--no-require-twin", "--twin", "off"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    try:
        first, second = process.stdout.readline(), process.stdout.readline()
        url = re.search(r"serving on (\S+), devices on mqtts://", first)[1]
        assert re.search(rf"first admin: {url}/setup\?token=\S+", second)
        run("bootstrap", "alice", "--data", str(data), "--url", url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0


def run(*arguments):
    """Run a command that succeeds."""
    with pytest.raises(SystemExit) as ended:
        main(["fleet", *arguments])
    assert ended.value.code in (0, None), arguments


def fails(code, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["fleet", *arguments])
    assert ended.value.code == code, arguments


def test_every_noun(server, tmp_path, capsys, monkeypatch):  # noqa: PLR0915 - one server, every command
    def out(*arguments):
        capsys.readouterr()
        run(*arguments)
        return capsys.readouterr().out

    file = tmp_path / "app.wasm"
    file.write_bytes(module("run"))
    out("device", "add", "pump-1", "--tag", "site=lab", "--note", "in the cellar")
    out("device", "add", "pump-2", "--serial", "SN1")
    out("device", "tag", "pump-1", "--set", "floor=2", "--remove", "site")
    assert json.loads(out("device", "show", "pump-1"))["tags"] == {"floor": "2"}
    assert "pump-2" not in out("device", "list", "--filter", "tag.floor = 2")
    listed = json.loads(out("device", "list", "--json"))
    assert [(device["name"], device["status"]) for device in listed] == [("pump-1", "enrolled"), ("pump-2", "expected")]
    digest = out("artifact", "upload", str(file), "-p", "commit=abc").strip()
    assert json.loads(out("artifact", "show", digest[:8]))["provenance"] == {"commit": "abc"}
    out("artifact", "download", digest, "-o", str(tmp_path / "copy.wasm"))
    assert (tmp_path / "copy.wasm").read_bytes() == file.read_bytes()
    out("artifact", "export", digest, str(tmp_path / "oci"))
    assert out("artifact", "import", str(tmp_path / "oci")).strip() == digest
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    with OciRegistry("token", anonymous=False).running() as host:
        login = ("--plain-http", "--registry-user", USER, "--registry-password-file", str(password))
        pushed = out("artifact", "export", digest, f"{host}/team/pump:1", *login).strip()
        assert out("artifact", "import", f"{host}/team/pump@{pushed}", *login).strip() == digest
        fails(3, "artifact", "import", f"{host}/team/pump:1", "--plain-http")
        fails(1, "artifact", "import", f"{host}/team/pump:2", *login)
        fails(2, "artifact", "import", str(tmp_path / "oci"), *login)
    assert digest[:16] in out("artifact", "list")
    assert "desired state 1" in out("deploy", digest, "-d", "pump-1", "--arg", "x")
    assert "desired state 2" in out("clear", "-d", "pump-1", "--slot", "0")
    number = out("rollout", "create", digest, "-f", "all", "--set", "twin=false", "--set", "approval=true").strip()
    assert out("rollout", "start", number).strip() in ("gate", "approval")
    fails(3, "rollout", "approve", number)  # one's own
    assert digest[:20] in out("rollout", "list")
    assert out("rollout", "abort", number, "--reason", "enough").strip() == "refused"
    fails(1, "rollout", "watch", number)
    assert out("rollout", "devices", number)
    assert json.loads(out("rollout", "plan"))["max_in_flight"] == 1000
    out("rollout", "remove", number)
    token = out("claim", "create", "--uses", "2", "--tag", "site=x").strip()
    assert re.fullmatch(r"[\w-]{43}\.[0-9a-f]{64}", token)
    assert "alice" in out("claim", "list")
    out("claim", "revoke", "1")
    assert json.loads(out("trust", "show"))["allow_unsigned"] is True
    out("webhook", "add", "http://127.0.0.1:9/hook", "--kind", "device.")
    assert "127.0.0.1:9" in out("webhook", "list")
    out("webhook", "remove", "1")
    out("user", "add", "bob", "--role", "viewer")
    bob = out("token", "create", "ci", "--user", "bob").strip()
    assert "bob" in out("user", "list")
    assert "2 devices" in out("status")
    assert "rollout" in out("events", "--kind", "rollout.")
    assert "device.add" in out("audit", "list")
    head = out("audit", "head").split()[1]
    assert out("audit", "verify", "--expect", head)
    fails(1, "audit", "verify", "--expect", "f" * 64)
    fails(1, "device", "show", "nobody")
    fails(2, "device", "list", "--filter", "colour = red")
    fails(3, "device", "note", "pump-1", "mine", "--token", bob)
    fails(3, "status", "--token", "wft_wrong")
    monkeypatch.setenv("WASEL_FLEET_URL", "http://127.0.0.1:9")
    fails(1, "status")
    assert "serve" in capsys.readouterr().err
