# SPDX-License-Identifier: Apache-2.0
"""The WASI server against hand-made and random messages, without a kernel, under sanitizers."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

CASES = (
    "refused",
    "poll_clocks",
    "poll_mixed",
    "arguments",
    "restart",
    "write_lines",
    "full_log",
    "chacha",
    "containment",
    "read_only",
    "full_tree",
    "unlinked",
    "grants",
    "output_rate",
    "resolution",
    "topics",
    "hostile_mail",
)


def _run(server: Path, *arguments: str) -> None:
    done = subprocess.run([str(server), *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("case", CASES)
def test_case(server, case):
    _run(server, case)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_hostile_messages(server, seed):
    _run(server, "hostile", str(seed), "100000")


def test_unknown_case_fails(server):
    with pytest.raises(AssertionError):
        _run(server, "no such case")
