# SPDX-License-Identifier: Apache-2.0
"""Python programs that load another build of the engine, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from edge_engine.build import build_host, sanitizer_preload
from edge_engine.zig import ROOT, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def run_sanitized(module: str, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE``; skips the test where the system's gcc with its run-time libraries is missing."""
    try:
        library = build_host(sanitize=True).library
        preload = sanitizer_preload()
    except ToolError as problem:
        if "gcc" in problem.command[0]:
            pytest.skip(f"no sanitizer run time: {problem.log}")
        raise
    environment = {
        "LD_PRELOAD": preload,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allow_user_segv_handler=1:use_sigaltstack=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    return _run(module, arguments, library, environment, timeout_s)


def run_with_explicit_checks(module: str, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run ``python -m MODULE`` on the build that compares addresses."""
    return _run(module, arguments, build_host(explicit_checks=True).library, {}, timeout_s)


def _run(
    module: str, arguments: Sequence[str], library: Path, environment: dict[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment, "WASEL_ENGINE_LIBRARY": str(library)},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
