# SPDX-License-Identifier: Apache-2.0
"""What the design says of the package: it imports nothing of QEMU or the device side, exports what it names."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

import agent

FOLDER = Path(agent.__file__).parent
MODULES = sorted(
    ".".join(("agent", *path.relative_to(FOLDER).with_suffix("").parts))
    for path in FOLDER.rglob("*.py")
    if path.name not in ("__init__.py", "__main__.py")
)


@pytest.mark.parametrize("name", MODULES)
def test_module_exports_what_it_names(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for export in module.__all__:
        assert hasattr(module, export)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_imports_stay_on_this_side(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [node.module or ""]
        for name in names:
            assert name.split(".")[0] not in ("qemu", "sel4_bridge", "edge_engine", "fleet"), name
