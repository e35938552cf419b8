# SPDX-License-Identifier: Apache-2.0
"""pytest plugin (entry point `pytest11`): fixtures that are devices, for people who test their own modules.

`wasel_sim`     a fresh device in the host simulator: milliseconds; choose time, seed and sanitizers by
                `@pytest.mark.wasel(time="virtual", seed=1, sanitize=True)` or --wasel-time, --wasel-seed
`wasel_device`  a fresh device under QEMU, on the kernel of --wasel-kernel (standin); skipped where QEMU is missing

Both give a `qemu.subject.Subject`. Nothing is imported before a test asks for one: other tests pay nothing for it.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qemu.subject import Subject

MARKER = "wasel(time='real', seed=None, sanitize=False): how the test's simulator runs"
MARKER_FIELDS = {"time", "seed", "sanitize"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("wasel")
    group.addoption("--wasel-time", choices=("real", "virtual"), default="real", help="time of simulated devices")
    group.addoption("--wasel-seed", type=int, default=0, help="seed of simulated devices and of faults on lines")
    group.addoption("--wasel-kernel", choices=("standin", "sel4"), default="standin", help="kernel of QEMU's devices")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def wasel_sim(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """Give a fresh simulated device."""
    from qemu.sim import SimOptions  # noqa: PLC0415
    from qemu.subject import SimMachine, Subject  # noqa: PLC0415

    chosen = {"time": request.config.getoption("--wasel-time"), "seed": request.config.getoption("--wasel-seed")}
    for marker in reversed(list(request.node.iter_markers("wasel"))):
        unknown = set(marker.kwargs) - MARKER_FIELDS
        if unknown or marker.args:
            raise pytest.UsageError(
                f"marker wasel takes {', '.join(sorted(MARKER_FIELDS))}, not {unknown or marker.args}"
            )
        chosen |= marker.kwargs
    subject = Subject(SimMachine(SimOptions(**chosen, flash=tmp_path / "flash")), seed=chosen["seed"] or 0)
    try:
        yield subject
    finally:
        subject.close()


@pytest.fixture
def wasel_device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """Give a fresh device under QEMU."""
    from qemu.boards import BOARDS  # noqa: PLC0415
    from qemu.subject import QemuMachine, Subject  # noqa: PLC0415

    if shutil.which(BOARDS[0].program) is None:
        pytest.skip(f"{BOARDS[0].program} is not installed: apt-get install {BOARDS[0].package}")
    kernel = request.config.getoption("--wasel-kernel")
    subject = Subject(QemuMachine(kernel, tmp_path), seed=request.config.getoption("--wasel-seed"))
    try:
        yield subject
    finally:
        subject.close()
