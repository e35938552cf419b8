# SPDX-License-Identifier: Apache-2.0
"""Names that would shadow a package: see docs of the folder `qemu` in the design."""

import importlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("agent", "edge_engine", "fleet", "qemu", "sel4_bridge", "soak")


def test_no_test_folder_bears_a_packages_name() -> None:
    taken = {path.name for path in (ROOT / "tests").rglob("*") if path.is_dir()}
    assert taken.isdisjoint({*PACKAGES, "tests"})


def test_qemu_shares_its_namespace() -> None:
    assert not (ROOT / "qemu" / "__init__.py").exists()
    names = {path.stem for path in (ROOT / "qemu").iterdir()}
    assert names.isdisjoint({"qmp", "machine", "utils"})


def test_both_halves_of_the_namespace_import() -> None:
    assert importlib.import_module("qemu.qmp").QMPClient is not None
    ours = importlib.import_module("qemu.boards")
    assert ours.__file__ is not None
    assert Path(ours.__file__).parent == ROOT / "qemu"
