# SPDX-License-Identifier: Apache-2.0
"""What does not fit a device is refused before a byte of it is sent, with the need; what a module needs can be seen."""

from __future__ import annotations

import asyncio
import json

import pytest

from agent.arena import check_fits
from agent.binary import encode_unsigned
from agent.errors import RefusedError
from tests.agents.conftest import wasel
from tests.agents.test_daemon import agent_for, watch
from tests.engine import binary
from tests.engine.binary import CODE, EXPORTS, FUNCTIONS, IMPORTS, MEMORIES, TYPES

PAGE = 4096


def small(pages: int) -> bytes:
    """Some pages of 64 KiB."""
    return binary.module(
        {
            TYPES: [b"\x60\0\0"],
            IMPORTS: [binary.name("env") + binary.name("f") + b"\0\0"],
            FUNCTIONS: [b"\0"],
            MEMORIES: [b"\0" + encode_unsigned(pages)],
            EXPORTS: [binary.export("_start", 0, 1), binary.export("memory", 2, 0)],
            CODE: [binary.body(b"")],
        }
    )


def need(file) -> dict[str, int]:
    done = wasel("inspect", str(file), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["arena"]


def test_inspect_shows_what_is_in_it_and_what_it_needs(tmp_path):
    file = tmp_path / "m.wasm"
    file.write_bytes(small(3))
    shown = wasel("inspect", str(file)).stdout
    assert "import: func env.f\n" in shown
    assert "export: func _start\n" in shown
    assert "memory: 3 and more pages of 65536 bytes\n" in shown
    assert need(file)["memory"] == 3 * 65536
    assert f"arena to load: {need(file)['load']} bytes" in shown
    file.write_bytes(binary.module({MEMORIES: [b"\1\2\1"]}))
    refused = wasel("inspect", str(file))
    assert refused.returncode == 3
    assert "minimum must not be greater than maximum" in refused.stderr


def test_fits_to_the_page(tmp_path):
    file = tmp_path / "m.wasm"
    file.write_bytes(small(1))
    bytes_needed = need(file)["load"]
    check_fits("m", small(1), "dev", bytes_needed)
    with pytest.raises(RefusedError, match=f"m: needs {bytes_needed} bytes of arena .* dev has {bytes_needed - PAGE}"):
        check_fits("m", small(1), "dev", bytes_needed - PAGE)
    check_fits("m", small(1), "dev", 0)  # unknown
    check_fits("m", b"no module", "dev", 1)  # for the device to refuse
    with pytest.raises(RefusedError, match="needs 4294967296 bytes"):
        check_fits("m", small(65536), "dev", 8 << 20)


def test_flash_refuses_before_the_push(device, tmp_path):
    file = tmp_path / "big.wasm"
    file.write_bytes(small(129))
    done = wasel("flash", str(file), "--port", device.url)
    assert done.returncode == 3, done.stdout
    assert "big.wasm: needs " in done.stderr
    assert "has 8388608; nothing was sent" in done.stderr
    assert done.stderr.count("\n") == 1
    assert device.device.received_upload_bytes == 0


async def test_deploy_refuses_before_the_order(device, broker, tmp_path):
    file = tmp_path / "big.wasm"
    file.write_bytes(small(129))
    async with watch(broker, "dev-arena") as watcher:
        with agent_for("dev-arena", device, broker):
            await watcher.until(lambda: watcher.states and watcher.states[-1].arena)
            done = await asyncio.to_thread(wasel, "deploy", str(file), "--device", "dev-arena", "--broker", broker)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "needs " in done.stderr
    assert device.device.received_upload_bytes == 0
