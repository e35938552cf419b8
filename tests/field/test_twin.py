# SPDX-License-Identifier: Apache-2.0
"""The twin gate: its report's format and verdict as pure functions, then real modules in QEMU."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.keys import generate_key, load_private_key
from agent.manifest import Health, Manifest
from agent.signing import sign_module
from edge_engine.zig import WASI, compile_objects, link
from fleet.twin import TwinError, TwinJob, image_digest, run_twin
from fleet.twin_report import Line, TwinReport, TwinReportError, judge, sign_report, verify_report
from qemu.launcher import image_for
from sel4_bridge.build import DEVELOPMENT_KEY

KEY, OTHER = generate_key(), generate_key()
GOOD = TwinReport(
    digest=b"m" * 32, size=1000, image=b"i" * 32, kernel="stand-in", device_version="0.1.0",
    device_image="development", name="app", version="1.0.0", sequence=3, health={"line": "ready", "timeout_s": 5},
    began_ms=1_800_000_000_000, boot_ms=600, guest_boot_ms=200, install_ms=80, soak_ms=2000, ran_ms=2010,
    state="running", active=b"m" * 32, starts=1, probe_ms=40, arena=8 << 20, arena_peak=200_000, cpu_us=12_000,
    first_line_ms=40, tier="interpreter", stats={"traps": 0, "faults": 0}, output=(Line(40, 1, b"ready"),),
    output_lines=1,
)  # fmt: skip
BAD = {
    "refuses it": {"refused": "unknown import env.foo"},
    "trap:": {"traps": ("unreachable\n#0 f",), "state": "trapped"},
    "trap: unknown": {"state": "trapped"},
    "counted": {"stats": {"traps": 1}},
    "faults": {"stats": {"faults": 1}},
    "went back": {"active": b"x" * 32},
    "started 2 times": {"starts": 2},
    "started 0 times": {"starts": 0},
    "watched": {"ran_ms": 10},
    "never content": {"probe_ms": None},
    "5000 are allowed": {"probe_ms": 6000},
    "exit code 1": {"state": "exited", "exit": 1},
    "is stopped": {"state": "stopped"},
    "arena": {"arena_peak": 9 << 20},
    "unknown at the end": {"state": ""},
    "it ended with exit code 5": {"health": {}, "state": "exited", "exit": 5},
    "not 3": {"health": {"exit": 3}, "state": "exited", "exit": 0},
    "alive": {"health": {"alive_s": 2}, "state": "exited", "exit": 0},
}


@pytest.mark.parametrize("words", BAD)
def test_the_verdict_is_drawn_from_the_facts(words):
    assert judge(GOOD) == ()
    bad = dataclasses.replace(GOOD, **BAD[words])
    assert any(words in reason for reason in judge(bad)), judge(bad)
    again = verify_report(sign_report(bad, KEY), [KEY.public], digest=GOOD.digest)
    assert not again.passed


def test_a_report_goes_through_its_bytes():
    data = sign_report(GOOD, KEY)
    assert verify_report(data, [OTHER.public, KEY.public], digest=GOOD.digest, image=GOOD.image) == GOOD
    assert GOOD.cpu_percent == 0.6


def test_what_is_not_accepted():
    data = sign_report(GOOD, KEY)
    for words, options in {
        "not trusted": {"keys": [OTHER.public], "digest": GOOD.digest},
        "about module": {"keys": [KEY.public], "digest": bytes(32)},
        "with image": {"keys": [KEY.public], "digest": GOOD.digest, "image": bytes(32)},
        "older": {"keys": [KEY.public], "digest": GOOD.digest, "not_before_ms": GOOD.began_ms + 1},
    }.items():
        with pytest.raises(TwinReportError, match=words):
            verify_report(data, **options)
    tagged = cbor2.loads(data)
    passing = dataclasses.replace(GOOD, starts=7).encode()
    forged = cbor2.dumps(cbor2.CBORTag(18, [tagged.value[0], {}, passing, tagged.value[3]]))
    with pytest.raises(TwinReportError, match="not what key"):
        verify_report(forged, [KEY.public], digest=GOOD.digest)


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_changed_byte_is_refused(at, change):
    data = bytearray(sign_report(GOOD, KEY))
    data[at % len(data)] ^= change
    with pytest.raises(TwinReportError):
        verify_report(bytes(data), [KEY.public], digest=GOOD.digest)


@given(st.binary(max_size=100))
def test_garbage_is_refused(data):
    with pytest.raises(TwinReportError):
        verify_report(data, [KEY.public], digest=GOOD.digest)
    with pytest.raises(TwinReportError):
        TwinReport.decode(data)


@pytest.mark.parametrize(
    "changes",
    [{"starts": "1"}, {"starts": -1}, {"digest": b"x"}, {"name": 5}, {"output": [[0, 1, "text"]]}, {"output": [[0]]},
     {"stats": {"x": "y"}}, {"health": {"line": ""}}, {"health": 3}, {"traps": [1]}, {"v": 2}, {"more": 1}],
)  # fmt: skip
def test_signed_nonsense_is_refused(changes):
    table = cbor2.loads(GOOD.encode()) | changes
    with pytest.raises(TwinReportError):
        TwinReport.decode(cbor2.dumps(table, canonical=True))


# In QEMU

SOURCES = {
    "good": 'int main(void) { puts("ready"); fflush(stdout); for (;;) usleep(100000); }',
    "traps late": 'int main(void) { puts("ready"); fflush(stdout); usleep(1500000); __builtin_trap(); }',
    "never ready": 'int main(void) { puts("not yet"); fflush(stdout); for (;;) usleep(100000); }',
    "ends": 'int main(int c, char **v) { printf("%s %s\\n", v[1], getenv("K")); return 0; }',
    "fails": "int main(void) { return 3; }",
}


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modules")
    made = {}
    for number, (name, source) in enumerate(SOURCES.items()):
        path = folder / f"{number}.c"
        path.write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n" + source + "\n")
        flags = ("-Os", "-s", "-Wl,-z,stack-size=65536")
        objects = compile_objects([path], folder / str(number), WASI, flags)
        made[name] = link(objects, folder / f"{number}.wasm", WASI, flags).read_bytes()
    return made


@pytest.mark.system
@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="qemu-system-aarch64 is not installed")
async def test_what_passes_and_what_does_not(modules):
    report = await run_twin(TwinJob(modules["good"], soak_s=1.5))
    assert report.passed, report.reasons
    assert report.digest == hashlib.sha256(modules["good"]).digest()
    assert report.image == image_digest(image_for("standin"))
    assert report.kernel == "stand-in"
    assert [line.data for line in report.output] == [b"ready"]
    assert report.boot_ms > 0
    assert report.ran_ms >= 1500
    assert 0 < report.arena_peak < report.arena
    assert report.cpu_us > 0
    assert report.starts == 1
    again = verify_report(sign_report(report, KEY), [KEY.public], digest=report.digest, image=report.image)
    assert again == report

    traps = await run_twin(TwinJob(modules["traps late"], soak_s=5))
    assert traps.output[0].data == b"ready"  # it begins well
    assert any("unreachable" in reason for reason in traps.reasons)

    ends = await run_twin(TwinJob(modules["ends"], args=("a",), env=("K=V",), soak_s=5))
    assert ends.passed, ends.reasons
    assert (ends.state, ends.exit, ends.output[0].data) == ("exited", 0, b"a V")
    fails = await run_twin(TwinJob(modules["fails"], soak_s=5))
    assert fails.reasons == ("it ended with exit code 3",)
    refused = await run_twin(TwinJob(b"\0asm\1\0\0\0\xff", soak_s=5))
    assert not refused.passed
    assert refused.refused


@pytest.mark.system
@pytest.mark.skipif(shutil.which("qemu-system-aarch64") is None, reason="qemu-system-aarch64 is not installed")
async def test_health_probes_and_signatures_in_the_gate(modules):
    image_for("standin")  # the key that development images trust is made at the first build
    key = load_private_key(DEVELOPMENT_KEY)

    def signed(name, health, by=key):
        return sign_module(modules[name], Manifest("app", "1.0.0", 1, health=health), by)

    good = await run_twin(TwinJob(signed("good", Health(line="ready", timeout_s=30)), soak_s=0.5))
    assert good.passed, good.reasons
    assert (good.name, good.version, good.sequence) == ("app", "1.0.0", 1)
    assert good.health == {"line": "ready", "timeout_s": 30}
    late = await run_twin(TwinJob(signed("never ready", Health(line="ready", timeout_s=2)), soak_s=0.5))
    assert not late.passed
    foreign = await run_twin(TwinJob(signed("good", None, KEY), soak_s=0.5))
    assert foreign.refused


async def test_a_machine_that_fails_is_no_verdict(tmp_path):
    image = tmp_path / "image.bin"
    image.write_bytes(bytes(100))
    with pytest.raises(TwinError):
        await run_twin(TwinJob(b"\0asm\1\0\0\0", kernel="no such kernel", image=image))
