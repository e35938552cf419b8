# SPDX-License-Identifier: Apache-2.0
"""Native code on the way to a device: added where it is wanted and may be, left out where it is not."""

from __future__ import annotations

from agent.keys import generate_key
from agent.manifest import Manifest
from agent.messages import SlotReport, State
from agent.module_file import custom_section
from agent.native import with_native_code
from agent.signing import sign_module
from tests.system import modules as m

SECTION = "wasel.native.aarch64"
MODULE = m.module(b"")


def test_code_is_added_for_the_machine_that_wants_it() -> None:
    steps: list[tuple[int, int]] = []
    made = with_native_code("m.wasm", MODULE, "aarch64", lambda done, total: steps.append((done, total)))
    assert custom_section(made, SECTION)
    assert made.startswith(MODULE)
    assert with_native_code("m.wasm", MODULE, "aarch64") == made
    assert not steps or steps[-1][0] == steps[-1][1]


def test_what_has_code_or_wants_none_goes_as_it_is() -> None:
    made = with_native_code("m.wasm", MODULE, "aarch64")
    assert with_native_code("m.wasm", made, "aarch64") is made
    assert with_native_code("m.wasm", MODULE, "") is MODULE
    assert with_native_code("m.wasm", MODULE, "vax") is MODULE


def test_signed_modules_are_left_alone() -> None:
    signed = sign_module(MODULE, Manifest(name="m", version="1.0.0", sequence=1), generate_key())
    assert with_native_code("m.wasm", signed, "aarch64") is signed


def test_invalid_modules_are_the_devices_to_refuse() -> None:
    for data in (b"", b"no module", MODULE[:-1], m.module(m.I32_ADD)):
        assert with_native_code("m.wasm", data, "aarch64") is data


def test_a_compiler_that_fails_leaves_the_module_interpreted(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    data = m.module(b"\x01")
    assert with_native_code("m.wasm", data, "aarch64") is data
    assert "m.wasm: runs interpreted: " in capsys.readouterr().err


def test_the_agents_report_names_machine_and_tier() -> None:
    report = SlotReport(0, "running", tier="native")
    state = State(online=True, device="d", native="aarch64", slots=(report,))
    assert State.parse(state.encode()) == state
    assert State.parse(State(online=True, device="d").encode()).native == ""
