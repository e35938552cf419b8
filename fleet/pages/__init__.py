# SPDX-License-Identifier: Apache-2.0
"""The dashboard: server-rendered pages over the same services as the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fleet.context import Fleet

__all__ = ["install"]


def install(app: FastAPI, fleet: Fleet) -> None:
    """Add the pages' routes and middleware."""
    del app, fleet
