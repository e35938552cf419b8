# SPDX-License-Identifier: Apache-2.0
"""A simulated device on a thread of its own, a mosquitto on a free port, and the command line as a process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from agent.cli import main
from agent.link.simulated import SimulatedDevice, serve

# A busy machine draws slowly: that is no finding.
settings.register_profile("wasel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wasel")

ROOT = Path(__file__).resolve().parents[2]


class DeviceThread:
    """A simulated device that answers while the test's own thread waits for processes."""

    def __init__(self, device: SimulatedDevice, delay_s: float = 0.0, port: int = 0) -> None:
        self.device = device
        self.url = ""
        self._delay_s = delay_s
        self._port = port
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with serve(self.device, delay_s=self._delay_s, port=self._port) as self.url:
            self._ready.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_):
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def device():
    with DeviceThread(SimulatedDevice()) as running:
        yield running


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("WASEL_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def free_port() -> int:
    """Give a TCP port that was free a moment ago."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextlib.contextmanager
def mosquitto(folder: Path, port: int):
    """Run a mosquitto that forgets everything when it ends; gives its URL."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n")
    with subprocess.Popen(
        [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        try:
            yield f"mqtt://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """URL of a mosquitto of our own."""
    with mosquitto(tmp_path_factory.mktemp("mosquitto"), free_port()) as url:
        yield url


def wasel_process(*arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Run the command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "agent", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=ROOT,
    )


def wasel(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in this process, which saves its start; one at a time."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    code: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as stop:
            code = stop.code
    texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
    return subprocess.CompletedProcess(arguments, code if isinstance(code, int) else 0, *texts)


@contextlib.contextmanager
def running(*arguments: str):
    """Run a command in the background; SIGTERM at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "agent", *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
