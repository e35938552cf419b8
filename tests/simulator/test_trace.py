# SPDX-License-Identifier: Apache-2.0
"""`wasel trace` on a running module: live, as text and as JSON, all calls or those that were asked for."""

import json
import subprocess
import sys

import pytest

from tests.system.modules import compile_c

LINES = 6
TALKER = compile_c("""
#include <stdio.h>
#include <unistd.h>
int main(void) { for (;;) { printf("tick\\n"); fflush(stdout); close(9); usleep(20000); } }
""")


@pytest.fixture
def traced(wasel_sim):
    """What the command prints first of a module that writes, closes what is not open, and sleeps, again and again."""
    wasel_sim.flash(TALKER)
    wasel_sim.start()

    def lines(*options):
        with wasel_sim.released() as port:
            command = [sys.executable, "-m", "agent", "trace", "--port", port, *options]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                found = [process.stdout.readline() for _ in range(LINES)]
                process.terminate()
        assert all(found), "it ended early"
        return found

    return lines


def names(lines):
    return {json.loads(line)["call"] for line in lines}


def test_all_calls(traced):
    assert names(traced("--json")) >= {"fd_write", "fd_close", "poll_oneoff"}


def test_calls_by_name(traced):
    assert names(traced("--json", "--call", "fd_close", "--call", "poll_oneoff")) == {"fd_close", "poll_oneoff"}
    assert all("fd_write(fd=1, iovs='tick\\n'" in line for line in traced("--call", "fd_write"))


def test_failed_calls(traced):
    found = [json.loads(line) for line in traced("--json", "--failed")]
    assert {(line["call"], line["result"], line["arguments"]["fd"]) for line in found} == {("fd_close", "badf", 9)}


def test_an_unknown_name_is_refused():
    command = [sys.executable, "-m", "agent", "trace", "--port", "socket://127.0.0.1:1", "--call", "fd_wriet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "fd_wriet" in done.stderr
