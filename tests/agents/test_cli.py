# SPDX-License-Identifier: Apache-2.0
"""The command line against a simulated device: output, JSON, errors in one line, exit codes."""

from __future__ import annotations

import json
import re

import pytest

from agent import errors
from agent.link.simulated import module
from tests.agents.conftest import free_port, wasel, wasel_process


def free_url():
    return f"socket://127.0.0.1:{free_port()}"


def one_line(result):
    """The error is one line on stderr that names the program, and no traceback."""
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("wasel: ")
    return result.stderr


def test_flash_start_ps_logs_stop_stats(device, tmp_path):
    file = tmp_path / "hello.wasm"
    file.write_bytes(module("print hello $1 $K", "err oops", "run", size=9000))
    flashed = wasel("flash", str(file), "--port", device.url)
    assert flashed.returncode == 0, flashed.stderr
    assert "9000 bytes in slot 0" in flashed.stdout
    assert flashed.stderr == ""
    started = wasel("start", "--port", device.url, "--arg", "world", "--env", "K=V")
    assert (started.returncode, started.stdout) == (0, f"slot 0 of {device.url}: running\n")
    listing = wasel("ps", "--port", device.url)
    assert re.search(r"^0 +running +[0-9a-f]{12} +8\.8 KiB +1 ", listing.stdout, re.MULTILINE), listing.stdout
    parsed = json.loads(wasel("ps", "--port", device.url, "--json").stdout)
    assert parsed["slots"][0]["state"] == "running"
    assert len(parsed["slots"][0]["digest"]) == 64
    assert parsed["kernel"] == "simulated"
    logs = wasel("logs", "--port", device.url)
    assert (logs.stdout, logs.stderr) == ("hello world V\n", "oops\n")
    lines = [json.loads(line) for line in wasel("logs", "--port", device.url, "--json").stdout.splitlines()]
    assert [(line["seq"], line["stream"], line["text"]) for line in lines] == [
        (0, "stdout", "hello world V"),
        (1, "stderr", "oops"),
    ]
    assert wasel("stop", "--port", device.url).stdout.endswith(": stopped\n")
    assert json.loads(wasel("stats", "--port", device.url, "--json").stdout)["starts"] == 1


def test_flash_again_of_the_same_module_uploads_nothing(device, tmp_path):
    file = tmp_path / "a.wasm"
    file.write_bytes(module("print x", size=5000))
    assert wasel("flash", str(file), "--port", device.url).returncode == 0
    before = device.device.received_upload_bytes
    assert wasel("flash", str(file), "--port", device.url, "--start").stdout.endswith("exited exit code 0\n")
    assert device.device.received_upload_bytes == before


def test_refused_module_is_3(device, tmp_path):
    file = tmp_path / "bad.wasm"
    file.write_bytes(b"not wasm at all")
    result = wasel("flash", str(file), "--port", device.url, "--start")
    assert result.returncode == errors.EXIT_REFUSED
    assert "no WebAssembly module" in one_line(result)


def test_link_errors_are_4(device):
    result = wasel("ps", "--port", free_url())
    assert result.returncode == errors.EXIT_LINK
    assert "cannot be opened" in one_line(result)
    result = wasel("start", "--port", device.url)
    assert result.returncode == errors.EXIT_LINK
    assert "slot empty" in one_line(result)
    result = wasel("ps", "--device", "nowhere")
    assert result.returncode == errors.EXIT_LINK
    assert "device up" in one_line(result)


def test_usage_errors_are_2(tmp_path):
    file = tmp_path / "a.wasm"
    file.write_bytes(module("print x"))
    for arguments, words in (
        (("ps",), "--device NAME or --port URL"),
        (("flash", str(tmp_path / "none.wasm"), "--port", "x"), "cannot be read"),
        (("flash", str(file), "--port", "x", "--env", "novalue"), "K=V"),
        (("run", str(tmp_path / "none.wasm")), "cannot be read"),
        (("run", str(file), "--on", "moon"), "--on moon: not supported"),
        (("run", str(file), "--arena", "lots"), "--arena lots"),
        (("ps", "--device", "a/b"), "not allowed"),
        (("logs", "--broker", "mqtt://x"), "give --device NAME"),
        (("deploy", str(file), "--device", "x", "--broker", "http://x"), "mqtt://HOST:PORT"),
    ):
        result = wasel(*arguments)
        assert result.returncode == errors.EXIT_USAGE, (arguments, result.stderr)
        assert words in one_line(result)
    assert wasel("no-such-command").returncode == errors.EXIT_USAGE
    assert wasel("ps", "--no-such-option").returncode == errors.EXIT_USAGE


def test_broker_errors_are_5(device, tmp_path):
    file = tmp_path / "a.wasm"
    file.write_bytes(module("print x"))
    url = free_url().replace("socket", "mqtt")
    for arguments in (
        ("deploy", str(file), "--device", "x", "--broker", url),
        ("agent", "--device", "x", "--port", device.url, "--broker", url),
    ):
        result = wasel(*arguments)
        assert result.returncode == errors.EXIT_BROKER, result.stderr
        assert "is it running" in one_line(result)


def test_version_and_help():
    assert re.fullmatch(r"wasel \d+\.\d+\.\d+\n", wasel_process("--version").stdout)
    text = wasel("--help").stdout
    for command in ("run", "flash", "ps", "logs", "start", "stop", "stats", "agent", "deploy"):
        assert f" {command} " in text
        assert wasel(command, "--help").returncode == 0


@pytest.mark.parametrize("name", errors.__all__)
def test_error_module_exports_exist(name):
    assert hasattr(errors, name)
