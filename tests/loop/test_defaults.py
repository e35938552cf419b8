# SPDX-License-Identifier: Apache-2.0
"""What is meant where no option says it: environment, profile, the one device, the one port that answers."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.commands.monitor import LineBuffer
from agent.doctor import Check, agent_checks
from agent.errors import UsageError
from agent.link.simulated import SimulatedDevice
from agent.profile import Profile, ProfileError, load_profile, parse_profile
from agent.registry import resolve
from tests.agents.conftest import DeviceThread

WASEL = Path(sys.executable).with_name("wasel")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No device, no profile, no variable of whoever runs the tests."""
    for name in ("WASEL_DEVICE", "WASEL_PORT", "WASEL_BROKER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WASEL_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("WASEL_PROFILE", str(tmp_path / "profile.toml"))


@pytest.fixture
def answering() -> Iterator[str]:
    """The port of a device that answers while the test's own thread waits."""
    with DeviceThread(SimulatedDevice()) as device:
        yield device.url


def test_the_environment_goes_before_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_profile() == Profile()
    (tmp_path / "profile.toml").write_text('port = "/dev/ttyUSB7"\nbroker = "mqtt://there"\n')
    assert load_profile() == Profile(None, "/dev/ttyUSB7", "mqtt://there")
    monkeypatch.setenv("WASEL_PORT", "/dev/ttyUSB8")
    assert resolve(None, None).port == "/dev/ttyUSB8"
    assert resolve(None, "/dev/ttyUSB9").port == "/dev/ttyUSB9"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = 7", "port: a text is needed"),
        ('prot = "x"', "prot: no such key; there is: device, port, broker"),
        ('port = "a"\ndevice = "b"', "device or port, not both"),
        ("port", "is not TOML"),
    ],
)
def test_a_wrong_profile_is_refused_by_key(text: str, words: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "profile.toml")
    assert words in str(caught.value)


def test_the_one_port_that_answers_is_taken(answering: str) -> None:
    silent = "socket://127.0.0.1:1"
    assert resolve(None, None, ports=lambda: [silent, answering]).port == answering


def test_two_that_answer_are_a_question(answering: str) -> None:
    with pytest.raises(UsageError, match="several answer, give --port"):
        resolve(None, None, ports=lambda: [answering, answering])


def test_none_that_answers_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"none answers on socket://127.0.0.1:1: start one with 'wasel device up"):
        resolve(None, None, ports=lambda: ["socket://127.0.0.1:1"])
    with pytest.raises(UsageError, match="there is no serial port here"):
        resolve(None, None, ports=list)


def test_lines_are_put_together_from_records() -> None:
    buffer = LineBuffer()
    assert buffer.take((0, 1, False, b"one ")) is None
    assert buffer.take((1, 2, True, b"other stream")) == "other stream"
    assert buffer.take((2, 1, True, b"line")) == "one line"
    assert buffer.take((3, 1, False, b"x" * 5000)) == "x" * 5000


def test_doctor_lists_every_part() -> None:
    done = subprocess.run([WASEL, "doctor", "--json"], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = {check["name"]: check for check in json.loads(done.stdout)}
    assert {"wasel", "Python", "engine", "C compiler", "QEMU", "Microkit SDK", "serial ports"} <= found.keys()
    assert all(check["ok"] or check["fix"] for check in found.values())


def test_doctor_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text('broker = "mqtt://127.0.0.1:1"\n')
    (broker,) = [check for check in agent_checks() if check.name == "broker"]
    assert not broker.ok
    assert "start it" in broker.fix
    (tmp_path / "profile.toml").write_text("nonsense")
    checks = agent_checks()
    assert (
        Check("Python", ok=True, detail=".".join(map(str, sys.version_info[:3])), fix=checks[1].fix, needed=True)
        in checks
    )
    (profile,) = [check for check in checks if check.name == "profile"]
    assert "is not TOML" in profile.detail
    assert "correct or remove" in profile.fix
