# SPDX-License-Identifier: Apache-2.0
"""The frame of `make soak`: a violation, a crash and a hang of a part are told and end with exit code 1."""

import asyncio
import io
import json
import os

import pytest

import soak.__main__ as command
from soak import LeftOut, Measured, Part, Progress, Soak, Violation, find_part, part_names, read_event


def write_part(folder, name, body, timeout_s=60.0):
    (folder / f"{name}.py").write_text(
        "import asyncio, os, sys\nfrom soak import Part\n"
        f"async def _run(soak):\n    {body}\n"
        f"PART = Part('what {name} is', timeout_s={timeout_s}, run=_run)\n"
    )


@pytest.fixture
def outcome_of(tmp_path, monkeypatch):
    """Run a part that is not in the repository."""
    parts = tmp_path / "parts"
    parts.mkdir()
    (tmp_path / "sitecustomize.py").write_text(f"import soak.parts; soak.parts.__path__.append({str(parts)!r})\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(command.ROOT)]))
    monkeypatch.setattr(command, "FOLDER", tmp_path / "results")
    package = __import__("soak.parts", fromlist=["parts"])
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(parts)])

    def run(name, body, *, seed=0, scale=1.0, timeout_s=60.0):
        write_part(parts, name, body, timeout_s)
        return asyncio.run(command.run_part(name, seed=seed, scale=scale, progress=lambda _: None))

    return run


def test_a_part_that_holds(outcome_of):
    outcome = outcome_of("good_part", "soak.measure('turns', soak.times(10), at_least=5); print('noise')", scale=0.5)
    assert outcome.holds
    assert outcome.measured == [Measured("turns", 5, "", ">= 5")]


def test_a_number_beyond_its_limit_is_a_violation(outcome_of):
    outcome = outcome_of("slow_part", "soak.measure('wait', 9, 'ms', at_most=8); soak.left_out('the rest')")
    assert not outcome.holds
    assert outcome.violations == ["wait: 9 ms is not <= 8"]
    assert outcome.left_out == ["the rest"]


def test_a_crash_keeps_what_was_measured_and_fails(outcome_of):
    outcome = outcome_of("bad_part", "soak.measure('a', 1); os.kill(os.getpid(), 11)")
    assert [one.what for one in outcome.measured] == ["a"]
    assert "ended with -11" in outcome.failure


def test_an_exception_is_named(outcome_of):
    assert "KeyError: 'gone'" in outcome_of("odd_part", "{}['gone']").failure


def test_a_hang_is_killed(outcome_of):
    outcome = outcome_of("stuck_part", "await asyncio.sleep(3600)", timeout_s=0.5)
    assert outcome.failure == "not done after 0.5 s"


def test_violations_have_an_end(outcome_of):
    outcome = outcome_of("endless_part", "while True:\n        soak.check(False, 'no')")
    assert "100 violations" in outcome.failure
    assert len(outcome.violations) == 100


def test_the_seed_repeats_what_is_random(outcome_of):
    body = "soak.measure('drawn', soak.random.randrange(1 << 30))"
    drawn = [outcome_of("drawing_part", body, seed=seed).measured[0].value for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_events_survive_the_pipe():
    sent = io.StringIO()
    told = Soak("any", command.ROOT, sent)
    told.measure("x", 1.5, "ms", at_most=2)
    told.check(False, "not so")
    told.left_out("that")
    told.progress("here")
    events = [read_event(line) for line in sent.getvalue().splitlines()]
    assert events == [Measured("x", 1.5, "ms", "<= 2"), Violation("not so"), LeftOut("that"), Progress("here")]


def test_the_list_has_every_part(capsys):
    assert command.main(["--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in listed] == part_names()
    assert all(isinstance(find_part(name), Part) for name in part_names())


@pytest.mark.parametrize("argv", [["nothing"], ["--scale", "0"]])
def test_usage(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(argv)
    assert ended.value.code == 2
    assert capsys.readouterr().err


def test_exit_codes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "FOLDER", tmp_path)

    async def pretend(name, *, seed, scale, progress):
        progress(f"{seed} {scale}")
        return command.Outcome(name, [Measured("x", 1, "s", "")], ["broken"] if seed == 1 else [])

    monkeypatch.setattr(command, "run_part", pretend)
    assert command.main(["resets"]) == 0
    assert command.main(["resets", "--seed", "1"]) == 1
    assert "resets: broken" in capsys.readouterr().out
    assert command.main(["resets", "--seed", "1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["parts"][0]["holds"] is False
    assert json.loads((tmp_path / "results.json").read_text())["seed"] == 1
