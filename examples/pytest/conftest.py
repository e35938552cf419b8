# SPDX-License-Identifier: Apache-2.0
"""Compiles the module under test once per session; the devices come from wasel's own plugin."""

import subprocess
import sys
from pathlib import Path

import pytest

# A stack that fits a slot; debug information would only travel along the line.
FLAGS = ["--target=wasm32-wasi", "-O2", "-Wl,-z,stack-size=65536", "-Wl,--strip-debug"]


@pytest.fixture(scope="session")
def greeter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("greeter") / "greeter.wasm"
    source = Path(__file__).with_name("greeter.c")
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *FLAGS, str(source), "-o", str(output)], check=True)
    return output
