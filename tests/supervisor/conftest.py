# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a fresh supervisor per test, built once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.supervisor.device import Device, build_driver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def driver() -> Path:
    return build_driver()


@pytest.fixture
def device(driver: Path) -> Iterator[Device]:
    running = Device.start(driver)
    yield running
    assert running.stop() == 0, "the driver ended with an error: see its sanitizer report"
