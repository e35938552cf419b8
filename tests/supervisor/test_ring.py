# SPDX-License-Identifier: Apache-2.0
"""The byte ring between uart and supervisor, driven by two threads."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edge_engine.zig import HOST, ROOT, compile_objects, link
from tests.supervisor.device import FLAGS


@pytest.fixture(scope="module")
def ring() -> Path:
    """The test program; with WASEL_TSAN=1 under ThreadSanitizer, whose library takes a minute to build once."""
    source = Path(__file__).with_name("ring.c")
    out = ROOT / "build" / "host-supervisor"
    sanitize = ("-fsanitize=thread",) if os.environ.get("WASEL_TSAN") == "1" else ()
    objects = compile_objects([source], out / ("tsan" if sanitize else "obj"), HOST, (*FLAGS, *sanitize))
    return link(objects, out / ("ring-tsan" if sanitize else "ring"), HOST, (*sanitize, "-lpthread"))


@pytest.mark.parametrize("needed", [1, 11_500, 65_536])
@pytest.mark.parametrize("seed", [1, 2])
def test_every_byte_arrives_and_nobody_oversleeps(ring: Path, seed: int, needed: int) -> None:
    done = subprocess.run(
        [str(ring), str(seed), "400000", str(needed)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
