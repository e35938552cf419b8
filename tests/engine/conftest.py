# SPDX-License-Identifier: Apache-2.0
"""Adds the number of the specification's assertions to pytest's last lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:  # noqa: ARG001
    passed = failed = skipped = scripts = 0
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == "assertions":
                    scripts += 1
                    passed, failed, skipped = passed + value[0], failed + value[1], skipped + value[2]
    if scripts:
        terminalreporter.write_line(
            f"specification: {scripts} scripts, {passed} assertions passed, {failed} answered otherwise, "
            f"{skipped} about the text format skipped"
        )
