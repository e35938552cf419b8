# SPDX-License-Identifier: Apache-2.0
"""Where sources lie, where builds go, and what a wheel brings ready-made.

In a checkout everything is built below `build/` and `prebuilt` finds nothing. A wheel has each package's finished
files in that package's folder `prebuilt`; what is built all the same (an image for genuine seL4, say) goes to the
user's cache. Does not build anything.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["BUILD", "ENGINE_INCLUDE", "PREBUILT", "ROOT", "prebuilt"]

ROOT = Path(__file__).resolve().parents[1]
ENGINE_INCLUDE = ROOT / "edge_engine" / "include"
PREBUILT = "prebuilt"  # folder in a package


def _cache() -> Path:
    """Folder of this version's builds in the user's cache (XDG Base Directory Specification)."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        return base / "wasel" / version("wasel")
    except PackageNotFoundError:
        return base / "wasel" / "unknown"


BUILD = ROOT / "build" if (ROOT / "pyproject.toml").is_file() else _cache()


def prebuilt(package: str, name: str) -> Path | None:
    """Return the file or folder `name` that the wheel brought for `package`; None in a checkout."""
    path = ROOT / package / PREBUILT / name
    return path if path.exists() else None
